// Which page of the application the address names.

function read() {
  const path = location.pathname
  const session = /^\/review\/session\/([0-9A-Za-z_-]{1,64})$/.exec(path)
  if (session) return { page: 'session', id: session[1] }
  return path.startsWith('/review') ? { page: 'reviews' } : { page: 'live' }
}

class Route {
  now = $state.raw(read())

  constructor() {
    window.addEventListener('popstate', () => (this.now = read()))
  }

  go(path) {
    history.pushState(null, '', path)
    this.now = read()
    window.scrollTo(0, 0)
  }
}

export const route = new Route()

// For links: opens here what an ordinary click means, and leaves the other ways of clicking to the browser.
export function follow(event) {
  if (event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  route.go(event.currentTarget.getAttribute('href'))
}
