/**
 * The account page in the browser (lib/account-page.js is its HTML): log in, browse documents of the ERP, order again.
 *
 * What comes from the shop is shown by textContent only. The login lives as long as the tab.
 */
;(() => {
  const TOKEN = "erp-account-token"
  const CART = "erp-account-cart"
  const PAGE = 20
  const POLLS = { every: 2000, times: 150 }

  const KINDS = { order: "Order", invoice: "Invoice", credit_note: "Credit note" }
  const REASONS = {
    free_text: "no article of the shop",
    returned: "taken back, not bought",
    fraction: "sold in a part of a piece",
    unknown: "not in the shop any more",
    not_sold: "not sold any more",
    other_unit: "sold in another unit now",
    no_price: "there is no price for you; ask us",
    no_stock: "not in stock",
    refused: "the cart does not take it now",
  }

  const $ = (id) => document.getElementById(id)
  const key = document.body.dataset.key
  let accounts = []
  let offset = 0
  let turn = 0 // an answer that comes after the buyer has gone on is not shown

  /** An element with text or elements in it; properties, and attributes where the name has a hyphen. */
  function make(name, properties = {}, ...inside) {
    const element = document.createElement(name)
    for (const [property, value] of Object.entries(properties)) {
      if (property.includes("-")) element.setAttribute(property, value)
      else element[property] = value
    }
    element.append(...inside.filter((one) => one !== null && one !== ""))
    return element
  }

  const number = (value, options) => new Intl.NumberFormat(undefined, options).format(value)
  const money = (value, currency) => number(value, { style: "currency", currency })
  const price = (value, currency) => number(value, { style: "currency", currency, maximumFractionDigits: 8 })
  const days = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeZone: "UTC" })
  const day = (value) => days.format(new Date(value))
  const say = (words) => ($("said").textContent = words)
  const complain = (words) => ($("fault").textContent = words)

  class Gone extends Error {}

  /** The shop's answer. A login that has ended leads back to the form. */
  async function call(path, { method = "GET", body, token = sessionStorage.getItem(TOKEN) } = {}) {
    const answer = await fetch(path, {
      method,
      headers: {
        "Content-Type": "application/json",
        "x-publishable-api-key": key,
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      body: body && JSON.stringify(body),
      credentials: "omit",
      cache: "no-store",
    })
    if (answer.status === 401 && token) {
      logOut()
      complain("Your login has ended. Log in again.")
      throw new Gone()
    }
    return answer
  }

  async function json(path, options) {
    const answer = await call(path, options)
    if (answer.ok) return answer.json()
    const { message } = await answer.json().catch(() => ({}))
    throw new Error(message ?? `The shop answers ${answer.status}.`)
  }

  /** Does what a person asked for, and tells him where it does not work. */
  function doing(work) {
    return async (event) => {
      event?.preventDefault()
      complain("")
      try {
        await work(event)
      } catch (error) {
        if (error instanceof TypeError) complain("The shop does not answer. Try again.")
        else if (!(error instanceof Gone)) complain(error.message)
      }
    }
  }

  function show(view) {
    for (const id of ["login", "list", "document"]) $(id).hidden = id !== view
    $("account").hidden = view === "login"
  }

  // ------------------------------------------------------------ login

  async function logIn() {
    const body = { email: $("email").value, password: $("password").value }
    const answer = await call("/auth/customer/emailpass", { method: "POST", body, token: null })
    const { token } = answer.ok ? await answer.json() : {}
    if (typeof token !== "string") throw new Error("E-mail address or password is wrong.")
    $("password").value = ""
    sessionStorage.setItem(TOKEN, token)
    $("title").focus() // the form goes away
    await start()
  }

  function logOut() {
    turn += 1
    accounts = []
    sessionStorage.removeItem(TOKEN)
    sessionStorage.removeItem(CART)
    for (const id of ["documents", "paper", "balance", "who"]) $(id).replaceChildren()
    history.replaceState(null, "", location.pathname)
    say("")
    show("login")
    $("email").focus()
  }

  async function start() {
    accounts = (await json("/store/erp/accounts")).accounts
    const open = accounts.filter(({ status }) => status === "active")
    $("who").textContent = open.length
      ? open.map(({ code, name }) => `${name} (${code})`).join(", ")
      : "This login has no company account."
    const options = open.map(({ code, name }) => make("option", { value: code }, `${name} (${code})`))
    $("of").replaceChildren(make("option", { value: "" }, "All"), ...options)
    $("of").parentElement.hidden = open.length < 2
    await route()
  }

  // ------------------------------------------------------------ list

  function showBalance(balance) {
    const rows = balance.map(({ account, currency, open, overdue }) =>
      make(
        "p",
        {},
        balance.length > 1 ? `${account}: ` : "",
        "To be paid ",
        make("strong", {}, money(open, currency)),
        Number(overdue) > 0 ? make("span", { className: "late" }, `, overdue ${money(overdue, currency)}`) : ""
      )
    )
    $("balance").replaceChildren(...rows)
  }

  async function showList() {
    const mine = ++turn
    const asked = new URLSearchParams({ limit: PAGE, offset })
    for (const name of ["q", "kind", "status", "from", "account"]) {
      const { value } = $("filter").elements.namedItem(name)
      if (value) asked.set(name, value)
    }
    const last = Date.parse($("until").value)
    if (last) asked.set("until", new Date(last + 86400000).toISOString().slice(0, 10)) // the page says the last day
    const answers = ["/store/erp/documents/balance", `/store/erp/documents?${asked}`].map((path) => json(path))
    const [{ balance }, { documents, count }] = await Promise.all(answers)
    if (mine !== turn) return
    showBalance(balance)
    $("documents").replaceChildren(...documents.map(entry))
    $("newer").disabled = offset === 0
    $("older").disabled = offset + PAGE >= count
    say(count ? `${offset + 1} to ${offset + documents.length} of ${count} documents` : "There are no such documents.")
    show("list")
  }

  function entry({ id, kind, number, made_on, status, reference, currency, total, open, overdue, account }) {
    return make(
      "li",
      {},
      make("a", { href: `#${id}` }, `${KINDS[kind]} ${number}`),
      make("span", {}, day(made_on)),
      make("span", { className: overdue ? "late" : "" }, overdue ? `${status}, overdue` : status),
      make("span", { className: "amount" }, money(total, currency)),
      make(
        "small",
        {},
        [
          reference && `Your reference ${reference}`,
          open !== null && Number(open) !== 0 && `open ${money(open, currency)}`,
          accounts.length > 1 && `account ${account}`,
        ].filter(Boolean).join(", ")
      )
    )
  }

  // ------------------------------------------------------------ document

  async function showDocument(id) {
    const mine = ++turn
    $("paper").replaceChildren()
    show("document")
    const { document: paper } = await json(`/store/erp/documents/${encodeURIComponent(id)}`)
    if (mine !== turn) return
    const { kind, currency } = paper
    const heading = make("h2", { tabIndex: -1 }, `${KINDS[kind]} ${paper.number}`)
    const fact = (name, ...value) => [make("dt", {}, name), make("dd", {}, ...value)]
    const facts = [
      ...fact("Date", day(paper.made_on)),
      ...(paper.due_on ? fact("Due", day(paper.due_on) + (paper.overdue ? ", overdue" : "")) : []),
      ...fact("Status", paper.status),
      ...(paper.reference ? fact("Your reference", paper.reference) : []),
      ...(accounts.length > 1 ? fact("Account", paper.account) : []),
      ...(paper.related.length ? fact("Belongs to", ...between(paper.related.map(link))) : []),
      ...(paper.parcels.length ? fact("Parcels", ...between(paper.parcels.map(parcel))) : []),
      ...fact("Net", money(paper.net, currency)),
      ...fact("Taxes", money(paper.tax, currency)),
      ...fact("Total", make("strong", {}, money(paper.total, currency))),
      ...(paper.open === null ? [] : fact("Still open", money(paper.open, currency))),
    ]
    const result = make("div", { id: "result", tabIndex: -1 })
    const again = make("button", { type: "button", id: "again" }, "Order again")
    again.addEventListener("click", doing(() => busy(again, () => reorder(paper, result))))
    const save = make("button", { type: "button", id: "save" }, "Save the document")
    save.addEventListener("click", doing(() => busy(save, () => saveFile(paper))))
    const sold = paper.lines.some(({ sku, quantity }) => sku !== null && Number(quantity) > 0)
    $("paper").replaceChildren(
      heading,
      make("dl", {}, ...facts),
      make("p", { className: "buttons" }, sold ? again : "", paper.has_file ? save : ""),
      result,
      make("h3", {}, "Lines"),
      make("ul", { className: "lines" }, ...paper.lines.map((line) => lineOf(line, currency)))
    )
    document.title = `${KINDS[kind]} ${paper.number}`
    say("")
    heading.focus()
  }

  const link = ({ id, kind, number }) => make("a", { href: `#${id}` }, `${KINDS[kind]} ${number}`)
  const between = (elements) => elements.flatMap((one, n) => (n ? [", ", one] : [one]))

  function parcel({ number, url }) {
    if (!/^https?:\/\//.test(url ?? "")) return number
    return make("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, number)
  }

  function lineOf({ sku, title, quantity, unit, price: one, net, successor }, currency) {
    if (quantity === null) return make("li", {}, make("span", { className: "title" }, title))
    const pieces = `${number(quantity, { maximumFractionDigits: 6 })} ${unit} at ${price(one, currency)}`
    return make(
      "li",
      {},
      make("span", { className: "title" }, title),
      make("span", {}, pieces),
      make("span", { className: "amount" }, money(net, currency)),
      make("small", {}, [sku, successor && `now ${successor}`].filter(Boolean).join(", "))
    )
  }

  /** The button is not pressed twice. */
  async function busy(button, work) {
    if (button.getAttribute("aria-disabled") === "true") return
    button.setAttribute("aria-disabled", "true")
    try {
      await work()
    } finally {
      button.removeAttribute("aria-disabled")
    }
  }

  // ------------------------------------------------------------ ordering again

  async function reorder(paper, result) {
    say("Looking for what can be bought …")
    await buyFor(paper.account)
    const path = `/store/erp/documents/${encodeURIComponent(paper.id)}/reorder`
    const known = sessionStorage.getItem(CART)
    let answer = await call(path, { method: "POST", body: known ? { cart_id: known } : {} })
    if (answer.status === 404 && known) answer = await call(path, { method: "POST", body: {} }) // that cart was ordered
    const said = await answer.json()
    if (!answer.ok) throw new Error(said.message)
    const { cart_id, added, skipped } = said
    if (cart_id) sessionStorage.setItem(CART, cart_id)
    const cart = cart_id ? (await json(`/store/carts/${encodeURIComponent(cart_id)}`)).cart : null
    const count = added.length === 1 ? "1 article is" : `${added.length} articles are`
    result.replaceChildren(
      make("h3", {}, added.length ? `${count} in your cart` : "Nothing of it can be bought now"),
      ...(cart ? contents(cart) : []),
      ...(skipped.length ? [make("h3", {}, "Not in your cart"), make("ul", {}, ...skipped.map(lacking))] : [])
    )
    say("")
    result.focus()
  }

  /** Prices and orders are those of one account at a time. */
  async function buyFor(account) {
    if (accounts.some(({ code, active }) => code === account && active)) return
    sessionStorage.removeItem(CART)
    accounts = (await json("/store/erp/accounts/active", { method: "POST", body: { code: account } })).accounts
  }

  function contents({ id, items, currency_code }) {
    const lines = items.map((item) => inCart(item, currency_code))
    return [make("ul", { className: "lines" }, ...lines), make("p", {}, make("small", {}, `Cart ${id}`))]
  }

  function inCart({ product_title, variant_sku, quantity, unit_price }, currency) {
    return make(
      "li",
      {},
      make("span", { className: "title" }, product_title ?? variant_sku),
      make("span", {}, `${number(quantity)} at ${price(unit_price, currency)}`),
      make("span", { className: "amount" }, money(quantity * unit_price, currency)),
      make("small", {}, variant_sku ?? "")
    )
  }

  function lacking({ sku, title, quantity, reason, successor }) {
    const name = sku ? `${title} (${sku})` : title
    const instead = successor ? ` In its place there is ${successor}.` : ""
    return make("li", {}, `${number(quantity, { maximumFractionDigits: 6 })} of ${name}: ${REASONS[reason]}.${instead}`)
  }

  // ------------------------------------------------------------ printed document

  async function saveFile({ id }) {
    const mine = turn
    for (let n = 0; n < POLLS.times; n += 1) {
      const answer = await call(`/store/erp/documents/${encodeURIComponent(id)}/file`)
      if (mine !== turn) return
      if (answer.status === 200) {
        const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition"))?.[1] ?? "document"
        const href = URL.createObjectURL(await answer.blob())
        make("a", { href, download: name }).click()
        setTimeout(() => URL.revokeObjectURL(href), 60000)
        return say(`${name} is saved.`)
      }
      if (answer.status !== 202) throw new Error((await answer.json()).message)
      say("The document is being printed …")
      await new Promise((done) => setTimeout(done, POLLS.every))
      if (mine !== turn) return
    }
    say("The document takes longer than usual. Come back in a few minutes.")
  }

  // ------------------------------------------------------------ where we are

  async function route() {
    complain("")
    if (!sessionStorage.getItem(TOKEN)) return logOut()
    const id = location.hash.slice(1)
    document.title = "Your account"
    await (id ? showDocument(id) : showList())
  }

  const first = () => {
    offset = 0
    return showList()
  }
  const turnPage = (by) => async () => {
    offset = Math.max(0, offset + by)
    await showList()
    $("documents").focus()
  }

  $("login").addEventListener("submit", doing(logIn))
  $("out").addEventListener("click", doing(logOut))
  $("filter").addEventListener("submit", doing(first))
  for (const id of ["kind", "status", "of", "from", "until"]) $(id).addEventListener("change", doing(first))
  $("newer").addEventListener("click", doing(turnPage(-PAGE)))
  $("older").addEventListener("click", doing(turnPage(PAGE)))
  addEventListener("hashchange", doing(route))
  doing(() => (sessionStorage.getItem(TOKEN) ? start() : logOut()))()
})()
