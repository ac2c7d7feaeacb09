/* Detection: which kernel levels this processor, and the operating system on it, can run.
 *
 * On x86 an instruction set counts only when CPUID names it and XGETBV says that the system saves
 * its registers; family and model numbers are not looked at (virtual machines invent them). AMX
 * also needs a permission that Linux grants per process on request. On 64-bit ARM user programs may
 * not read the registers that say it; Linux hands them the answer (getauxval).
 * Thread: any. The result is cached in an atomic; two first callers compute the same value.      */
#include "kern/cpu.h"

#include <stdatomic.h>
#include <string.h>

#include "kern/kern.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XCR0_AVX    0x6U     /* SSE and the upper halves of YMM */
#define XCR0_AVX512 0xe6U    /* those, mask registers, upper ZMM */
#define XCR0_AMX    0x60000U /* tile configuration and tile data */

#define ARCH_REQ_XCOMP_PERM 0x1023 /* Linux uapi asm/prctl.h, absent from older headers */
#define XFEATURE_XTILEDATA  18

static uint32_t read_xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has(uint32_t reg, int bit)
{
    return (reg >> bit) & 1U;
}

static bool request_amx(void)
{
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static uint32_t detect_features(void)
{
    uint32_t a, b, c, d, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, 27) /* OSXSAVE */)
        return 0;
    const bool fma = has(c, 12), avx = has(c, 28), f16c = has(c, 29);
    const uint32_t xcr0 = read_xcr0();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    const uint32_t max_subleaf = a, ebx = b, ecx = c, edx = d;
    uint32_t sub_eax = 0;
    if (max_subleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d))
        sub_eax = a;

    if (avx && fma && f16c && has(ebx, 5) && (xcr0 & XCR0_AVX) == XCR0_AVX)
        found |= KERN_CPU_AVX2;
    if ((found & KERN_CPU_AVX2) && has(sub_eax, 4))
        found |= KERN_CPU_AVXVNNI;
    const bool avx512 = has(ebx, 16) && has(ebx, 17) && has(ebx, 30) && has(ebx, 31) &&
                        has(ecx, 11);
    if ((found & KERN_CPU_AVX2) && avx512 && (xcr0 & XCR0_AVX512) == XCR0_AVX512)
        found |= KERN_CPU_AVX512;
    const bool amx = has(edx, 22) && has(edx, 24) && has(edx, 25) && has(sub_eax, 5) &&
                     has(ecx, 1); /* AVX-512 VBMI */
    if ((found & KERN_CPU_AVX512) && amx && (xcr0 & XCR0_AMX) == XCR0_AMX && request_amx())
        found |= KERN_CPU_AMX;
    return found;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

#define HWCAP_BIT_ASIMD   (1UL << 1) /* Linux uapi asm/hwcap.h */
#define HWCAP_BIT_ASIMDDP (1UL << 20)
#define HWCAP2_I8MM_BF16  (3UL << 13)

static uint32_t detect_features(void)
{
    const unsigned long caps = getauxval(AT_HWCAP), caps2 = getauxval(AT_HWCAP2);
    if (!(caps & HWCAP_BIT_ASIMD))
        return 0;
    uint32_t found = KERN_CPU_NEON;
    if (caps & HWCAP_BIT_ASIMDDP)
        found |= KERN_CPU_DOTPROD;
    if ((found & KERN_CPU_DOTPROD) && (caps2 & HWCAP2_I8MM_BF16) == HWCAP2_I8MM_BF16)
        found |= KERN_CPU_I8MM;
    return found;
}
#else
static uint32_t detect_features(void)
{
    return 0;
}
#endif

uint32_t kern_cpu_features(void)
{
    static _Atomic uint32_t cached; /* the top bit says that it is filled */
    const uint32_t filled = 1U << 31;
    uint32_t value = atomic_load_explicit(&cached, memory_order_relaxed);
    if (!(value & filled)) {
        value = detect_features() | filled;
        atomic_store_explicit(&cached, value, memory_order_relaxed);
    }
    return value & ~filled;
}

bool kern_level_usable(enum kern_level level)
{
    const uint32_t features = kern_cpu_features();
    switch (level) {
    case KERN_GENERIC: return true;
    case KERN_AVX2: return features & KERN_CPU_AVX2;
    case KERN_AVX512VNNI: return features & KERN_CPU_AVX512;
    case KERN_AMX: return features & KERN_CPU_AMX;
    case KERN_NEON: return features & KERN_CPU_NEON;
    case KERN_I8MM: return features & KERN_CPU_I8MM;
    case KERN_N_LEVELS: break;
    }
    return false;
}

enum kern_level kern_detect(void)
{
    enum kern_level best = KERN_GENERIC;
    for (int level = KERN_GENERIC; level < KERN_N_LEVELS; level++)
        if (kern_level_usable((enum kern_level)level))
            best = (enum kern_level)level;
    return best;
}

static const char *const level_names[KERN_N_LEVELS] = {
    [KERN_GENERIC] = "generic", [KERN_AVX2] = "avx2", [KERN_AVX512VNNI] = "avx512vnni",
    [KERN_AMX] = "amx",         [KERN_NEON] = "neon", [KERN_I8MM] = "i8mm",
};

const char *kern_level_name(enum kern_level level)
{
    return (unsigned)level < KERN_N_LEVELS ? level_names[level] : "unknown";
}

bool kern_level_parse(const char *name, enum kern_level *out)
{
    for (int level = 0; level < KERN_N_LEVELS; level++) {
        if (strcmp(name, level_names[level]) == 0) {
            *out = (enum kern_level)level;
            return true;
        }
    }
    return false;
}

const char *kern_type_name(enum kern_type type)
{
    static const char *const names[KERN_N_TYPES] = {"f32", "bf16", "int8"};
    return (unsigned)type < KERN_N_TYPES ? names[type] : "unknown";
}
