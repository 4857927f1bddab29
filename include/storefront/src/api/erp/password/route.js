const { randomBytes } = require("node:crypto")

/**
 * GET /erp/password: a page to ask for the reset mail and, opened from that mail (#token=...), to set the new password.
 * It only calls Medusa's own /auth routes.
 */
module.exports.GET = async (_req, res) => {
  const nonce = randomBytes(16).toString("base64")
  const own = `script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'`
  res.set({
    "Content-Security-Policy": `default-src 'none'; connect-src 'self'; ${own}; frame-ancestors 'none'`,
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
  })
  res.type("html").send(page(nonce))
}

const page = (nonce) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Password</title>
<style nonce="${nonce}">
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 4rem auto; padding: 0 1rem }
  input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; margin-top: .5rem }
</style>
<h1>Password</h1>
<form>
  <label id="label" for="value">E-mail address</label>
  <input id="value" type="email" autocomplete="email" required>
  <button>Continue</button>
</form>
<p id="answer" role="status"></p>
<script nonce="${nonce}">
  const token = new URLSearchParams(location.hash.slice(1)).get("token")
  const value = document.getElementById("value"), answer = document.getElementById("answer")
  if (token) {
    document.getElementById("label").textContent = "New password, at least 8 characters"
    Object.assign(value, { type: "password", autocomplete: "new-password", minLength: 8 })
  }
  document.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault()
    const response = await fetch("/auth/customer/emailpass/" + (token ? "update" : "reset-password"), {
      method: "POST",
      headers: { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) },
      body: JSON.stringify(token ? { password: value.value } : { identifier: value.value }),
    })
    answer.textContent = !response.ok ? "This link is no longer valid: ask for a new one."
      : token ? "Your password is set. You can log in now."
      : "If there is a login with this address, a mail is on its way."
    if (response.ok) event.target.remove()
  })
</script>
</html>
`
