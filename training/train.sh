#!/bin/bash
# From texts and recordings to models/nano and models/vad in one command. Run in the project's root.
#
#   training/train.sh [SPEECH] [MINUTES] [AMOUNT]
#
# SPEECH is the folder of recordings and texts, MINUTES the length of the main training, AMOUNT 1
# about 65 hours of synthetic speech. Everything made on the way lies under training/work; what is
# there already is not made again, and an interrupted training goes on where it was.
set -eu
speech=${1:-../shared/speech} minutes=${2:-100} amount=${3:-0.4}
work=training/work python=${PYTHON:-/usr/bin/python3} pause=${PAUSE_FILE:-}
export OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE OPENBLAS_NUM_THREADS=1
mkdir -p $work

parts=$(nproc) jobs=()
for ((i = 0; i < parts; i++)); do
    $python training/synth.py --work $work --speech "$speech" --part $i/$parts \
        --amount "$amount" --pause-file "$pause" &
    jobs+=($!)
done
for job in "${jobs[@]}"; do
    wait "$job"
done
[ -f $work/tokenizer/merges.txt ] ||
    $python training/train_tokenizer.py --work $work --speech "$speech"
$python training/train.py --work $work --minutes "$minutes" --pause-file "$pause"
$python training/export.py --work $work --out models/nano
$python training/train_vad.py --speech "$speech" --out models/vad/model.safetensors \
    --pause-file "$pause"
$python tools/model_sums.py . --write
