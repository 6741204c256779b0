/** The contract with server objects in this process, of both SDK versions. */

import { Behaviour } from '../support/behaviour.mjs';
import { serverV1, serverV2 } from '../support/carriers.js';
import { describeTransport } from './suite.js';

describeTransport('memory, SDK 2', () => ({ server: serverV2(new Behaviour()) }), { kind: 'memory' });
describeTransport('memory, SDK 1', () => ({ server: serverV1(new Behaviour()) }), { kind: 'memory' });
