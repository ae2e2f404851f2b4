// What a page of another origin brings along; esbuild makes one script of it for the tests.
import Uppy from '@uppy/core'
import Tus from '@uppy/tus'
import * as tus from 'tus-js-client'

Object.assign(window, { Tus, Uppy, tus })
