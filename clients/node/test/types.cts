// The same for a program that requires it.

import callworker = require("callworker-client");

export const sent: Promise<string> = new callworker.Client().enqueue({ account: "a", country: 1, phone: 21255, code: 100 });
