// Light, dark, or what the system says.

const ORDER = ['system', 'light', 'dark']
const KEY = 'brainrouter-theme'

class Theme {
  name = $state('system')
  // Counts up when colours change, for what is drawn by hand.
  turn = $state(0)

  constructor() {
    let kept
    try {
      kept = localStorage.getItem(KEY)
    } catch {
      // A browser that keeps nothing: the system's choice then.
    }
    if (ORDER.includes(kept)) this.name = kept
    this.#show()
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => (this.turn += 1))
  }

  next() {
    this.name = ORDER[(ORDER.indexOf(this.name) + 1) % ORDER.length]
    try {
      localStorage.setItem(KEY, this.name)
    } catch {
      // as above
    }
    this.#show()
  }

  #show() {
    document.documentElement.dataset.theme = this.name
    this.turn += 1
  }
}

export const theme = new Theme()

// A colour of the style sheet as a canvas needs it.
export function colour(name) {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const found = getComputedStyle(probe).color
  probe.remove()
  return found
}
