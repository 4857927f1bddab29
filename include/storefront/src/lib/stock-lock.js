const { MedusaError } = require("@medusajs/framework/utils")
const { knex } = require("@medusajs/framework/mikro-orm/knex")
const { database } = require("./database")

const KEY = "hashtext('crossdock stock')"

/** Seconds: how long to wait for the lock, and how long a call of Medusa's may keep it, whatever becomes of it. */
const PATIENCE = 15
const LONGEST = 120

/** Less than the second after which PostgreSQL looks for deadlocks: this side gives way, never a shopper. */
const ROW_PATIENCE = "500ms"
const TRIES = 5

const BUSY = new Set(["55P03", "40P01"]) // lock_not_available, deadlock_detected

let connections

/**
 * While Medusa fulfils, takes a fulfilment back or receives a return, lib/stock.js does not write.
 *
 * These workflows move what is in stock in one transaction and what is reserved in another, and Medusa reads a level
 * before it adds to it (2.18.0): a figure written in between would come out too high, or be lost. They share an
 * advisory lock of PostgreSQL, which holds in all of the shop's processes; it is given back with the answer, also for
 * a client that has not waited for it. Its connections are its own: whoever waits for it takes none from Medusa's pool.
 */
async function stockAtRest(req, res, next) {
  if (req.method !== "POST") return next()
  let release
  try {
    release = await shared(database(req.scope))
  } catch (error) {
    if (!BUSY.has(error.code) && error.name !== "KnexTimeoutError") throw error
    return res.status(409).json({ type: "conflict", message: "Stock is being written. Try again." })
  }
  const late = setTimeout(release, LONGEST * 1000).unref()
  const end = res.end.bind(res)
  res.end = (...args) => {
    clearTimeout(late)
    release().finally(() => end(...args))
    return res
  }
  next()
}

/** Take the lock together with others; what gives it back. */
async function shared(db) {
  connections ??= knex({ ...db.client.config, pool: { min: 0, max: 4 }, acquireConnectionTimeout: PATIENCE * 1000 })
  const trx = await connections.transaction()
  const release = () => trx.rollback().catch(() => undefined)
  try {
    await trx.raw(
      `select set_config('lock_timeout', '${PATIENCE}s', true), set_config('idle_in_transaction_session_timeout', '0', true)`
    )
    await trx.raw(`select pg_advisory_xact_lock_shared(${KEY})`)
  } catch (error) {
    await release()
    throw error
  }
  return release
}

/**
 * Do this in one transaction while nobody else moves stock. Where a shopper's order holds a row too long it is begun
 * again. Throws MedusaError (conflict) when the shop is too busy; nothing is kept then.
 */
async function alone(db, work) {
  for (let left = TRIES; ; left--) {
    let mine = false
    try {
      return await db.transaction(async (trx) => {
        await trx.raw(`set local lock_timeout = '${PATIENCE}s'`)
        await trx.raw(`select pg_advisory_xact_lock(${KEY})`)
        mine = true
        await trx.raw(`set local lock_timeout = '${ROW_PATIENCE}'`)
        return work(trx)
      })
    } catch (error) {
      if (!BUSY.has(error.code)) throw error
      if (!mine || left === 1) throw new MedusaError(MedusaError.Types.CONFLICT, "Others are at work on this stock")
    }
  }
}

module.exports = { stockAtRest, alone }
