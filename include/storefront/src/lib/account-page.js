/**
 * The HTML of the account page; what it does is in pages/account.js.
 * @param {string} nonce of this answer's content security policy
 * @param {string} key the publishable key the page calls the shop with
 */
const accountPage = (nonce, key) => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Your account</title>
<style nonce="${nonce}">
  :root { color-scheme: light; --line: #8a8f98; --soft: #f1f3f6; --link: #0b4ea2; --late: #a3150f }
  * { box-sizing: border-box }
  body {
    font: 1rem/1.5 system-ui, sans-serif; color: #1a1d21; background: #fff; max-width: 60rem; margin: 0 auto;
    padding: 1rem
  }
  h1, h2, h3 { line-height: 1.2; overflow-wrap: anywhere }
  a { color: var(--link); overflow-wrap: anywhere }
  [hidden] { display: none !important }
  :focus-visible { outline: 3px solid var(--link); outline-offset: 2px }
  input, select, button {
    font: inherit; color: inherit; min-height: 2.75rem; padding: .4rem .6rem; border: 1px solid var(--line);
    border-radius: .3rem; background: #fff
  }
  button { background: var(--link); color: #fff; border-color: var(--link); cursor: pointer }
  button:disabled, button[aria-disabled=true] {
    background: var(--soft); color: #4a5058; border-color: var(--line); cursor: default
  }
  #login { max-width: 24rem }
  #login input, #login button { width: 100% }
  #account { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: center; justify-content: space-between }
  #account p { margin: 0 }
  #filter {
    display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .5rem 1rem; align-items: end;
    padding: 1rem; background: var(--soft)
  }
  #filter p { margin: 0 }
  #filter input, #filter select, #filter button { width: 100% }
  #documents, .lines { list-style: none; padding: 0; margin: 1rem 0 }
  #documents li, .lines li {
    display: grid; grid-template-columns: 3fr 2fr 2fr 2fr; gap: 0 1rem; padding: .6rem 0;
    border-bottom: 1px solid var(--line)
  }
  .lines li { grid-template-columns: 4fr 3fr 2fr }
  li > *, dd { overflow-wrap: anywhere; min-width: 0 }
  .title { white-space: pre-line }
  .amount { text-align: right; font-variant-numeric: tabular-nums }
  small { grid-column: 1 / -1; font-size: .9rem; color: #4a5058 }
  small:empty { display: none }
  .late { color: var(--late); font-weight: 600 }
  .buttons { display: flex; flex-wrap: wrap; gap: .5rem 1rem }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem }
  dt { color: #4a5058 }
  dd { margin: 0 }
  #fault:not(:empty) { padding: .6rem; border-left: .3rem solid var(--late); background: #fdeceb }
  #said { position: sticky; bottom: 0; margin: 0; padding: .6rem 0; background: #fff }
  @media (max-width: 40rem) {
    #documents li, .lines li { grid-template-columns: 1fr auto }
    .lines .title { grid-column: 1 / -1 }
  }
</style>
</head>
<body data-key="${key}">
<header>
  <h1 id="title" tabindex="-1">Your account</h1>
  <div id="account" hidden>
    <p id="who"></p>
    <button type="button" id="out">Log out</button>
  </div>
</header>
<main>
  <p id="fault" role="alert"></p>
  <form id="login" hidden>
    <p><label for="email">E-mail address</label>
      <input id="email" type="email" autocomplete="username" required></p>
    <p><label for="password">Password</label>
      <input id="password" type="password" autocomplete="current-password" required></p>
    <p><button>Log in</button></p>
    <p><a href="/erp/password">No password yet, or forgotten?</a></p>
  </form>
  <section id="list" aria-label="Documents" hidden>
    <div id="balance"></div>
    <form id="filter" role="search">
      <p><label for="q">Search for</label><input id="q" name="q" type="search" maxlength="200"></p>
      <p><label for="kind">Kind</label><select id="kind" name="kind">
        <option value="">All</option><option value="order">Orders</option><option value="invoice">Invoices</option>
        <option value="credit_note">Credit notes</option>
      </select></p>
      <p><label for="status">Status</label><select id="status" name="status">
        <option value="">All</option><option>open</option><option>partly sent</option><option>sent</option>
        <option>partly paid</option><option>paid</option><option>credited</option><option>cancelled</option>
      </select></p>
      <p><label for="from">From</label><input id="from" name="from" type="date"></p>
      <p><label for="until">To</label><input id="until" name="until" type="date"></p>
      <p><label for="of">Account</label><select id="of" name="account"></select></p>
      <p><button>Search</button></p>
    </form>
    <ul id="documents" tabindex="-1"></ul>
    <p class="buttons">
      <button type="button" id="newer">Newer</button>
      <button type="button" id="older">Older</button>
    </p>
  </section>
  <section id="document" aria-label="Document" hidden>
    <p><a href="#">All documents</a></p>
    <div id="paper"></div>
  </section>
  <p id="said" role="status" aria-live="polite"></p>
</main>
<script nonce="${nonce}" src="/erp/account/script"></script>
</body>
</html>
`

module.exports = { accountPage }
