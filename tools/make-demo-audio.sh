#!/bin/bash
# Makes the recordings in demo/ from the texts below with the speech synthesisers of Debian (flite,
# espeak-ng) and encodes them with ffmpeg. The recordings are in the repository; run this to change
# them. Needs: flite espeak-ng ffmpeg.
set -euo pipefail
cd "$(dirname "$0")/../demo"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

talk='Good morning, and welcome. This recording was made by a machine, to be read by a machine.
The weather today is bright and cold, with a light wind from the north.
Please bring two apples, a loaf of bread, and seven red candles from the market.
The train to the coast leaves at half past nine, so we should meet at the station before nine.
Thank you for listening, and have a pleasant day.'

note='Hello. My name is Clara, and I am calling about the blue bicycle in your garden.
Please call me back after six.'

printf '%s\n' "$talk" >"$scratch/talk.txt"
printf '%s\n' "$note" >"$scratch/note.txt"
flite -voice slt -f "$scratch/talk.txt" -o "$scratch/talk.wav"
espeak-ng -v en-gb -s 150 -f "$scratch/note.txt" -w "$scratch/note.wav"

encode() { # input, output, ffmpeg options...
    local input=$1 output=$2
    shift 2
    ffmpeg -hide_banner -loglevel error -y -i "$scratch/$input.wav" -map_metadata -1 -fflags +bitexact \
        -flags:a +bitexact "$@" "$output"
}
encode talk talk.flac -ar 16000 -ac 1 -compression_level 12
encode talk talk.mp3 -ar 44100 -ac 2 -b:a 64k
encode talk talk.opus -ar 48000 -ac 1 -c:a libopus -b:a 24k
encode note note.wav -ar 22050 -ac 1 -c:a pcm_s16le

# What was said, for tests and for comparing.
tr '\n' ' ' <"$scratch/talk.txt" | sed 's/ *$/\n/' >talk.txt
tr '\n' ' ' <"$scratch/note.txt" | sed 's/ *$/\n/' >note.txt
ls -l
