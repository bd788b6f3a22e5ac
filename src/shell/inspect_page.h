/*
 * inspect_page.h - the page that inspect --html writes, without its data.
 *
 * Role: a text, in which @STORE@ and @HISTORY@ each stand once, in this order, for arrays of findings as JSON.
 * In the picture: shell layer; cmd_inspect fills it.
 */
#ifndef LOAM_SHELL_INSPECT_PAGE_H
#define LOAM_SHELL_INSPECT_PAGE_H

extern const char inspect_page[] __attribute__((visibility("hidden"))); /* ends with NUL */

#endif
