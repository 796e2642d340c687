/* Lines of a terminal that is narrower than what is to be said: one that wrapped would stay behind
 * each time it is drawn again. */
#include "cli/live_line.h"

#include "cli/cli.h"
#include "support/check.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Standard error becomes a terminal; its other end. */
static int begin_terminal(int *saved) {
    const int outer = posix_openpt(O_RDWR | O_NOCTTY);
    assert_true(outer >= 0 && grantpt(outer) == 0 && unlockpt(outer) == 0);
    const int inner = open(ptsname(outer), O_RDWR | O_NOCTTY);
    assert_true(inner >= 0);
    *saved = dup(STDERR_FILENO);
    assert_true(*saved >= 0 && dup2(inner, STDERR_FILENO) >= 0);
    close(inner);
    return outer;
}

static void be_wide(int outer, unsigned short columns) {
    const struct winsize size = {.ws_row = 24, .ws_col = columns};
    assert_int_equal(ioctl(outer, TIOCSWINSZ, &size), 0);
}

static void test_narrow(void **state) {
    (void)state;
    static const unsigned short widths[] = {80, 20, 1, 0, 500};
    static const char *const wanted[] = {
        "\r0123456789 0123456789 01234\033[K", "\r0123456789 01234567\033[K", "\r\033[K",
        "\r0123456789 0123456789 01234\033[K", "\r0123456789 0123456789 01234\033[K"};
    int saved;
    const int outer = begin_terminal(&saved);
    bv_live_line line = bv_live_line_begin();
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        char got[600] = {0};
        be_wide(outer, widths[i]);
        const size_t columns = bv_cli_columns();
        bv_live_line_say(&line, "0123456789 %s", "0123456789 01234");
        const ssize_t n = read(outer, got, sizeof got - 1);
        if (n < 0 || strcmp(got, wanted[i]) || columns != (widths[i] ? widths[i] : 80)) {
            dup2(saved, STDERR_FILENO);
            fail_msg("%d columns: %s", widths[i], got);
        }
    }
    bv_live_line_end(&line);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(outer);
}

/* One that can only append has no line that is drawn again. */
static void test_dumb(void **state) {
    (void)state;
    int saved;
    const int outer = begin_terminal(&saved);
    be_wide(outer, 80);
    setenv("TERM", "dumb", 1);
    const size_t columns = bv_cli_columns();
    setenv("TERM", "xterm", 1);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(outer);
    assert_int_equal(columns, 0);
}

int main(void) {
    setenv("TERM", "xterm", 1);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_narrow), cmocka_unit_test(test_dumb)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
