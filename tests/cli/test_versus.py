"""bench/versus: alternation, names and ratios, with commands that only print."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

VERSUS = pathlib.Path(os.environ['AURICLE_SOURCE']) / 'bench' / 'versus'
OURS = {'stages': {'encoder': {'median_ms': 20.0}, 'step_b5': {'median_ms': 2.0}},
        'rss_bytes': 50e6}


def echo(figures):
    """A command that prints a JSON object after a line of talk."""
    text = 'talk\n' + json.dumps(figures)
    return f"{sys.executable} -c 'import sys; print(sys.argv[1])' '{text}'"


def versus(*arguments):
    return subprocess.run([sys.executable, VERSUS, *arguments], capture_output=True, text=True,
                          check=False)


class Versus(unittest.TestCase):
    def test_ratios_by_our_names(self):
        done = versus('--ours', echo(OURS), '--peer', 'other=' + echo({'enc': 60.0, 'b5': 1.0}),
                      '--map', 'other:encoder=enc,step_b5=5*b5', '--rounds', '2')
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.split()[0]: line for line in done.stdout.splitlines()}
        self.assertIn('3.00 (3.00 to 3.00)', rows['encoder'])
        self.assertIn('2.50 (2.50 to 2.50)', rows['step_b5'])
        self.assertIn('wall', rows)
        self.assertNotIn('rss_mb', rows)  # the peer does not say

    def test_rounds_as_json(self):
        done = versus('--ours', echo(OURS), '--peer', 'other=' + echo({'rss_mb': 100}), '--rounds',
                      '3', '--json')
        found = json.loads(done.stdout)
        self.assertEqual([r['rss_mb'] for r in found['other']], [100] * 3)
        self.assertEqual([r['rss_mb'] for r in found['auricle']], [50] * 3)

    def test_end_to_end_by_our_names(self):
        ours = {'text': '', 'timings': {'total': 0.5, 'mel': 0.1, 'encoder': 0.2, 'decoder': 0.1,
                                        'encoder_windows': 2, 'decoder_tokens': 96}}
        peer = {'work': 2000, 'windows': 2, 'tokens': 96}
        done = versus('--ours', echo(ours), '--peer', 'other=' + echo(peer), '--rounds', '2')
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {line.split()[0]: line for line in done.stdout.splitlines()}
        self.assertIn('4.00 (4.00 to 4.00)', rows['work'])
        self.assertIn('peak_mb', rows)
        self.assertNotIn('tokens', rows)

        done = versus('--ours', echo(ours), '--peer', 'other=' + echo(peer | {'tokens': 97}))
        self.assertEqual(done.returncode, 1)
        self.assertIn('not the same work: tokens are auricle 96, other 97', done.stderr)

    def test_what_cannot_be_meant_is_refused(self):
        for arguments, said in (
                (['--peer', 'nameless'], 'NAME=COMMAND'),
                (['--peer', 'a=true', '--map', 'b:x=y'], 'no --peer'),
                (['--peer', 'a=true', '--map', 'a'], 'expected NAME:'),
                (['--peer', 'a=false'], 'ended with 1')):
            done = versus('--ours', 'true', '--rounds', '1', *arguments)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertIn(said, done.stderr)


unittest.main()
