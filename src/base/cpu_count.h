/* The cgroup part of au_cpu_count, apart so that tests can show it a made-up system. */
#ifndef AU_BASE_CPU_COUNT_H
#define AU_BASE_CPU_COUNT_H

/* Processors granted by the cgroup CPU quota (versions 1 and 2), rounded up; 0 where there is no
 * limit or it cannot be read. proc_cgroup is normally "/proc/self/cgroup", sys_root
 * "/sys/fs/cgroup". Allocates: never.                                                           */
int au_cpu_quota(const char *proc_cgroup, const char *sys_root);

#endif
