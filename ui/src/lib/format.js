// How numbers and times read. What is not known is a dash, never a zero.

export const UNKNOWN = '–'

export function duration(ms) {
  if (ms == null) return UNKNOWN
  if (ms === 0) return '0 ms'
  if (ms < 0.05) return '< 0.1 ms'
  if (ms < 10) return `${ms.toFixed(1)} ms`
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  const minutes = Math.floor(ms / 60_000)
  return `${minutes} min ${Math.round((ms - minutes * 60_000) / 1000)} s`
}

export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' })
}

export function dateTime(seconds) {
  return new Date(seconds * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' })
}

export function ago(seconds, now = Date.now() / 1000) {
  const past = Math.max(0, now - seconds)
  if (past < 60) return 'just now'
  if (past < 3600) return `${Math.floor(past / 60)} min ago`
  if (past < 86_400) return `${Math.floor(past / 3600)} h ago`
  return `${Math.floor(past / 86_400)} d ago`
}

export function count(number) {
  if (number == null) return UNKNOWN
  if (number < 10_000) return number.toLocaleString('en')
  if (number < 1_000_000) return `${(number / 1000).toFixed(number < 100_000 ? 1 : 0)}k`
  return `${(number / 1_000_000).toFixed(1)}M`
}

export function percent(share) {
  return share == null ? UNKNOWN : `${Math.round(share * 100)}%`
}

export function folder(path) {
  if (!path) return ''
  const parts = path.split('/').filter(Boolean)
  return parts.length ? parts[parts.length - 1] : '/'
}
