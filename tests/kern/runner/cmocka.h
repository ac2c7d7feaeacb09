/* The few names of cmocka that the kernel tests use, for builds where there is no cmocka for the
 * target (-Dkernels_only=true). Prints what tools/run_tests.py counts. The first failure ends the
 * program: the tests run in one process and share nothing that would need cleaning up.           */
#ifndef TESTS_KERN_RUNNER_CMOCKA_H
#define TESTS_KERN_RUNNER_CMOCKA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};

/* The test that runs, for the message; one thread. */
static const char *runner_current;

#define cmocka_unit_test(function) \
    {                              \
#function, function        \
    }

#define fail_msg(...)                                  \
    do {                                               \
        printf("%s:%d: ", __FILE__, __LINE__);         \
        printf(__VA_ARGS__);                           \
        printf("\n[  FAILED  ] %s\n", runner_current); \
        exit(1);                                       \
    } while (0)

#define assert_true(condition)                        \
    do {                                              \
        if (!(condition))                             \
            fail_msg("%s does not hold", #condition); \
    } while (0)

#define assert_false(condition)          assert_true(!(condition))
#define assert_non_null(pointer)         assert_true((pointer) != NULL)
#define assert_int_equal(a, b)           assert_true((long long)(a) == (long long)(b))
#define assert_string_equal(a, b)        assert_true(strcmp(a, b) == 0)
#define assert_memory_equal(a, b, bytes) assert_true(memcmp(a, b, bytes) == 0)

#define cmocka_run_group_tests_name(name, tests, set_up, tear_down) \
    runner_run(name, tests, sizeof(tests) / sizeof((tests)[0]))
#define cmocka_run_group_tests(tests, set_up, tear_down) \
    cmocka_run_group_tests_name(#tests, tests, set_up, tear_down)

static inline int runner_run(const char *name, const struct CMUnitTest *tests, size_t n)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("[==========] %s: Running %zu test(s).\n", name, n);
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        runner_current = tests[i].name;
        printf("[ RUN      ] %s\n", runner_current);
        tests[i].run(&state);
        printf("[       OK ] %s\n", runner_current);
    }
    return 0;
}

#endif
