// The version of the server, in one place.
#ifndef RA_BASE_VERSION_H
#define RA_BASE_VERSION_H

#define RA_VERSION "0.1.0"

#endif
