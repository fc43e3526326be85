import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The checkout under test where every account can enter it: it may itself be in a folder that only root enters. */
export const CHECKOUT = process.env['TEST_CHECKOUT'] ?? fileURLToPath(new URL('../..', import.meta.url))
export const BIN = join(CHECKOUT, 'bin')
/** The folder of a `node` that changes no ids. */
export const FIXED_IDS = join(CHECKOUT, 'test/support/fixed-ids')
