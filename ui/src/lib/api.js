import { live } from './live.svelte.js'

// The body of an answer; an Error with the daemon's own words otherwise, the whole error in `.said`.
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-brainrouter-token': live.token },
    body: JSON.stringify(body),
  }
  let reply
  try {
    reply = await fetch(path, options)
  } catch {
    throw new Error('brainrouter does not answer')
  }
  const said = await reply.json().catch(() => null)
  if (reply.ok) return said
  const error = new Error(said?.error?.message ?? `${reply.status} ${reply.statusText}`)
  error.status = reply.status
  error.said = said?.error
  throw error
}
