#!/usr/bin/env python3
"""Keeps models/SHA256SUMS true. Run as: model_sums.py SOURCE_FOLDER [--write]

The file lists what the program reads of the models in the repository, so that a damaged or missing
file can be named with the digest it should have. Without --write it is compared, with it written.
"""

import hashlib
import pathlib
import sys

READ = ('.safetensors', '.bin', '.json', '.txt', '.tiktoken')


def main():
    folder = pathlib.Path(sys.argv[1]) / 'models'
    lines = [f'{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n'
             for path in sorted(folder.rglob('*')) if path.suffix in READ and path.is_file()]
    sums, text = folder / 'SHA256SUMS', ''.join(lines)
    if '--write' in sys.argv[2:]:
        sums.write_text(text, encoding='utf-8')
        return 0
    if not lines and not sums.exists():
        print('no models in this tree')
        return 0
    if sums.exists() and sums.read_text(encoding='utf-8') == text:
        print(f'{len(lines)} files are as models/SHA256SUMS lists them')
        return 0
    print('models/SHA256SUMS does not fit the files in models/. Where the change is meant, run\n'
          '  tools/model_sums.py . --write')
    return 1


if __name__ == '__main__':
    sys.exit(main())
