// What the daemon tells us, live. One stream for the tab; closed while nobody looks at it.

const KEPT = 500
const HIDDEN_MS = 5_000

class Live {
  connected = $state(false)
  known = $state(false)
  started = $state(0)
  version = $state('')
  events = $state.raw([])
  inference = $state.raw({ active: 0, requests: [] })
  services = $state.raw({})
  stats = $state.raw({})
  bridges = $state.raw({})
  operations = $state.raw({})
  versions = $state.raw(null)
  token = document.querySelector('meta[name="brainrouter-token"]')?.content ?? ''
  #source = null
  #hiding = 0

  start() {
    document.addEventListener('visibilitychange', () => this.#look())
    window.addEventListener('pagehide', () => this.#close())
    window.addEventListener('pageshow', () => this.#look())
    this.#look()
  }

  #look() {
    clearTimeout(this.#hiding)
    // A browser gives one address six connections; hidden tabs must not hold them all.
    if (document.hidden) this.#hiding = setTimeout(() => this.#close(), HIDDEN_MS)
    else if (!this.#source) this.#open()
  }

  #close() {
    this.#source?.close()
    this.#source = null
  }

  #open() {
    const source = new EventSource('/api/events')
    this.#source = source
    const on = (name, take) => source.addEventListener(name, (message) => take(JSON.parse(message.data)))
    on('snapshot', (said) => this.#snapshot(said))
    on('routing', (events) => {
      // What comes is in the order of time; what we hold is newest first.
      const held = new Set(this.events.map((event) => event.id))
      const fresh = events.filter((event) => !held.has(event.id)).reverse()
      this.events = [...fresh, ...this.events].slice(0, KEPT)
    })
    for (const name of ['inference', 'services', 'stats', 'bridges', 'operations', 'versions']) {
      on(name, (value) => (this[name] = value))
    }
    source.onopen = () => (this.connected = true)
    source.onerror = () => {
      this.connected = false
      if (source.readyState === EventSource.CLOSED) {
        this.#close()
        setTimeout(() => this.#look(), 1500)
      }
    }
  }

  #snapshot(said) {
    if (this.started && this.started !== said.started) this.#reborn(said.version !== this.version)
    Object.assign(this, said)
    this.known = true
  }

  // Another daemon: its token is another, and its page may be newer than this one.
  async #reborn(newer) {
    if (newer) return location.reload()
    const text = await (await fetch('/')).text()
    const page = new DOMParser().parseFromString(text, 'text/html')
    this.token = page.querySelector('meta[name="brainrouter-token"]')?.content ?? this.token
  }
}

export const live = new Live()
