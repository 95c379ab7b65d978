// What every unit test includes before cmocka.
#ifndef RA_BASE_TESTING_H
#define RA_BASE_TESTING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
