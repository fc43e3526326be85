import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, lstatSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isRoot } from './command.ts'

const SIZE = 16 * 1024 * 1024
/** The kernel is not to put anything on the disk by itself: not what is renamed over, nor every few seconds. */
const OPTIONS = 'loop,noauto_da_alloc,commit=86400'

type Teardown = { teardown: (work: () => unknown) => void }

/**
 * A disk of its own below a folder of a test, whose power can be cut: what was written and not synchronised is lost
 * then, as with a real one. It is a file with an ext4 file system; what the kernel still holds back is not in the file.
 *
 * One disk for each folder that matters: to synchronise anything puts all names of its file system on the disk.
 */
export class Disk {
  readonly #folder: string
  readonly #images: string
  #number = 0

  private constructor(folder: string, images: string) {
    this.#folder = folder
    this.#images = images
  }

  /** Mounts one at `folder`, which is there already and stays what it is to others. Gone after the test. */
  static mount(t: Teardown, folder: string): Disk {
    const disk = new Disk(folder, mkdtempSync(join(tmpdir(), 'endoreg-disk-')))
    t.teardown(() => {
      spawnSync('umount', ['--lazy', folder])
      rmSync(disk.#images, { recursive: true, force: true })
    })
    const { mode } = lstatSync(folder)
    const image = disk.#image
    writeFileSync(image, '')
    truncateSync(image, SIZE)
    execFileSync('mkfs.ext4', ['-q', '-F', '-b', '1024', '-m', '0', image])
    disk.#mount()
    rmSync(join(folder, 'lost+found'), { recursive: true })
    chmodSync(folder, mode & 0o7777)
    // What a test begins with is there.
    execFileSync('sync', ['--file-system', folder])
    return disk
  }

  get #image(): string {
    return join(this.#images, `${this.#number}.img`)
  }

  #mount(): void {
    execFileSync('mount', ['-o', OPTIONS, this.#image, this.#folder])
  }

  /** Puts everything on the disk, as time does. */
  settle(): void {
    execFileSync('sync', ['--file-system', this.#folder])
  }

  /** Cuts the power of all of them at one moment, and gives it back: their journals are replayed. */
  static cut(...disks: readonly Disk[]): void {
    for (const disk of disks) copyFileSync(disk.#image, join(disk.#images, `${disk.#number + 1}.img`))
    for (const disk of disks) {
      execFileSync('umount', [disk.#folder])
      rmSync(disk.#image)
      disk.#number++
      disk.#mount()
    }
  }
}

/** tap's option for a test that needs such disks: why it is skipped, or false. */
export const needsDisks = { skip: whyNoDisks() } as const

function whyNoDisks(): string | false {
  if (!isRoot) return 'needs root: a file system of its own'
  const teardowns: (() => unknown)[] = []
  const folder = mkdtempSync(join(tmpdir(), 'endoreg-disk-probe-'))
  try {
    Disk.mount({ teardown: work => teardowns.push(work) }, folder)
    return false
  } catch (error) {
    return `needs a loop device with ext4: ${error instanceof Error ? error.message.split('\n').at(-1) : ''}`
  } finally {
    for (const work of teardowns) work()
    rmSync(folder, { recursive: true, force: true })
  }
}
