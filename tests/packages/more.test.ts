// SPDX-License-Identifier: Apache-2.0
// More packages than CI installs: `make packages`.
import { useServer } from '../server/harness.ts';
import { testPrograms } from './programs.ts';

testPrograms('more.programs', 'tests/packages/node_modules', useServer());
