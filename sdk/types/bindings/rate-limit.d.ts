// SPDX-License-Identifier: Apache-2.0
//
// Limits of how often code does something (docs/bindings.md).

interface RateLimitOptions {
    key: string;
}

interface RateLimitOutcome {
    success: boolean;
}

interface RateLimit {
    /** May it happen once more under this key? Then it is counted. */
    limit(options: RateLimitOptions): Promise<RateLimitOutcome>;
}
