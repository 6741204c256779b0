/** Knows what a service is called that stands on the command line and in no configuration. */

export const GIVEN = 'server';
