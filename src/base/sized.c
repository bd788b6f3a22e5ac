/*
 * sized.c - public structs that grow; see sized.h.
 */
#include "base/sized.h"

#include <string.h>

#include "base/status.h"

#include "base/poison.h"

static size_t size_of(const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    return size;
}

loam_status sized_take(void *options, size_t size, const void *given, const char *name)
{
    if (given == NULL) return LOAM_OK;
    const size_t given_size = size_of(given);
    if (given_size == 0) return failed(LOAM_INVALID, "struct_size is 0; begin with %s()", name);
    for (size_t i = size; i < given_size; i++)
        if (((const uint8_t *)given)[i] != 0)
            return failed(LOAM_INVALID, "the options hold a field that this library does not know");
    memcpy(options, given, given_size < size ? given_size : size);
    memcpy(options, &size, sizeof size);
    return LOAM_OK;
}

loam_status sized_check(const void *given)
{
    if (given == NULL) return failed(LOAM_INVALID, "out is NULL");
    if (size_of(given) >= sizeof(size_t)) return LOAM_OK;
    return failed(LOAM_INVALID, "struct_size is not set; it is sizeof the struct you pass");
}

void sized_give(void *given, const void *filled, size_t size)
{
    const size_t given_size = size_of(given);
    memcpy(given, filled, given_size < size ? given_size : size);
    memcpy(given, &given_size, sizeof given_size);
}
