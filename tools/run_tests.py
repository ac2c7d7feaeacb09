#!/usr/bin/env python3
"""Runs a suite and counts single test cases. Run as: run_tests.py BUILD_FOLDER [meson test options]

meson counts test programs; people want to know how many checks passed. This runs `meson test`,
reads the cases that cmocka and unittest reported from its log and ends with a line "N passed, N failed,
N skipped". A program without cases counts as one; a program that died counts as one failure more
than the cases it reported. Exit status: 0 only when nothing failed and something passed.
"""

import json
import pathlib
import re
import subprocess
import sys

CASE = re.compile(r'^\[ +(OK|FAILED|SKIPPED) +\] (.+)$', re.M)
WHY_ABSENT = re.compile(r'^.* is absent$', re.M)
PYTHON_RAN = re.compile(r'^Ran (\d+) tests? in ', re.M)
PYTHON_NOT_OK = re.compile(r'^(?:OK|FAILED) \((.+)\)$', re.M)
PYTHON_CASE = re.compile(r'^(?:FAIL|ERROR): (\S+)', re.M)
SKIP_STATUS = 77


class Count:
    """Passed and skipped cases, and a line of text for each failure."""

    def __init__(self):
        self.passed, self.skipped, self.failures = 0, 0, []
        self.absent = set()

    def add_program(self, test):
        output = test.get('stdout', '')
        cases = CASE.findall(output)
        self.absent.update(WHY_ABSENT.findall(output + test.get('stderr', '')))
        failed_before = len(self.failures)
        for status, name in cases:
            if status == 'OK':
                self.passed += 1
            elif status == 'SKIPPED':
                self.skipped += 1
            else:
                self.failures.append(f'{test["name"]}: {name}')
        cases = cases or self.add_python(test)
        if test['result'] == 'SKIP' or test['returncode'] == SKIP_STATUS:
            self.skipped += 1
        elif test['result'] in ('OK', 'EXPECTEDFAIL'):
            self.passed += 0 if cases else 1
        elif len(self.failures) == failed_before:
            self.failures.append(f'{test["name"]}: {test["result"]} (exit status '
                                 f'{test["returncode"]})')

    def add_python(self, test):
        """Cases of a unittest program; whether it was one."""
        output = test.get('stdout', '') + test.get('stderr', '')
        ran = PYTHON_RAN.search(output)
        if not ran:
            return False
        counts = PYTHON_NOT_OK.search(output)
        not_ok = dict(re.findall(r'(\w+)=(\d+)', counts.group(1))) if counts else {}
        bad = PYTHON_CASE.findall(output)
        self.skipped += int(not_ok.get('skipped', 0))
        self.passed += int(ran.group(1)) - len(bad) - int(not_ok.get('skipped', 0))
        self.failures += [f'{test["name"]}: {name}' for name in bad]
        return True


def main():
    build = pathlib.Path(sys.argv[1])
    log = build / 'meson-logs' / 'testlog.json'
    log.unlink(missing_ok=True)
    status = subprocess.run(['meson', 'test', '-C', str(build), '--no-rebuild', '--print-errorlogs',
                             *sys.argv[2:]], stdin=subprocess.DEVNULL, check=False).returncode
    count = Count()
    if log.is_file():
        for line in log.read_text(encoding='utf-8').splitlines():
            count.add_program(json.loads(line))
    if count.absent:
        print(f'\nSkipped for want of test data ({len(count.absent)} files), for example:')
        print(sorted(count.absent)[0])
    if count.failures:
        print('\nFailed:', *count.failures, sep='\n  ')
    print(f'\n{count.passed} passed, {len(count.failures)} failed, {count.skipped} skipped')
    return 0 if status == 0 and not count.failures and count.passed > 0 else 1


if __name__ == '__main__':
    sys.exit(main())
