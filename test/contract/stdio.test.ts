/** The contract over stdio: a server of the legacy era, and one that speaks 2026-07-28 alone. */

import { scripted } from '../support/harness.js';
import { describeTransport } from './suite.js';

describeTransport('stdio', () => scripted(), { kind: 'stdio' });
const modern = { kind: 'stdio', era: 'modern', asks: false } as const;
describeTransport('stdio, modern era', () => scripted({ modernOnly: true }), modern);
