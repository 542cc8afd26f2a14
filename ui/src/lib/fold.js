// The feed's rows: identical requests within 30 seconds are one row, and so are the review rounds of one session.

export const WINDOW_S = 30
export const SHOWN = 50

const SAME = ['dialect', 'requested_model', 'harness', 'prompt_excerpt', 'decision', 'side', 'provider', 'model', 'fallback', 'status', 'error']

function likeness(event) {
  return event.iteration != null ? `review ${event.session}` : JSON.stringify(SAME.map((field) => event[field]))
}

// `events` are newest first; so are the rows. A row is {key, latest, events, times, iter, total_ms}.
export function fold(events, limit = SHOWN) {
  const rows = []
  const open = new Map()
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index]
    const like = likeness(event)
    const held = open.get(like)
    // The folder may be found a moment after the request; one that is not known is no other.
    const elsewhere = held?.latest.cwd && event.cwd && held.latest.cwd !== event.cwd
    // The window is that of the row's first request, so that a row never changes what it holds.
    if (held && !elsewhere && (event.iteration != null || event.time - held.first <= WINDOW_S)) {
      held.events.unshift(event)
      held.latest = event.cwd ? event : { ...event, cwd: held.latest.cwd }
      held.total_ms += event.total_ms ?? 0
      continue
    }
    const row = { key: event.id, first: event.time, latest: event, events: [event], total_ms: event.total_ms ?? 0 }
    open.set(like, row)
    rows.push(row)
  }
  rows.sort((a, b) => b.latest.id - a.latest.id)
  for (const row of rows) {
    row.iter = row.latest.iteration ?? 0
    row.times = row.latest.iteration != null ? 1 : row.events.length
  }
  return rows.slice(0, limit)
}

export const FILTERS = {
  all: { label: 'All', keeps: () => true },
  cloud: { label: 'Cloud', keeps: (event) => event.side === 'cloud' },
  local: { label: 'Local', keeps: (event) => event.side === 'local' },
  fallback: { label: 'Fallbacks', keeps: (event) => Boolean(event.fallback) },
  error: { label: 'Errors', keeps: (event) => Boolean(event.error) },
}

const SEARCHED = ['prompt_excerpt', 'reason', 'model', 'requested_model', 'provider', 'harness', 'cwd', 'error']

export function filtered(events, kind, folder, text) {
  const wanted = text.trim().toLowerCase()
  return events.filter(
    (event) =>
      FILTERS[kind].keeps(event) &&
      (!folder || event.cwd === folder) &&
      (!wanted || SEARCHED.some((field) => String(event[field] ?? '').toLowerCase().includes(wanted))),
  )
}
