#!/usr/bin/env bash
# Trains a model that ships, with the settings of its card; run again after it was stopped or killed, it goes on.
#
#   tools/train-models.sh nerve-vessel|brachial-plexus|mini DATA [RUN]
#
# DATA holds kaggle_bp/, usgra_seg/ and no_nerve/. The frames that the cards judge by are held out: multiples of 6 of usgra_seg;
# subjects 2, 7, 14, 21, 22, 30, 36 and 41 of kaggle_bp; subjects S5, S10, S11 and the jumping one of no_nerve.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
model=${1:?expected a model: nerve-vessel, brachial-plexus or mini}
data=$(cd "${2:?expected the folder of the data}" && pwd)
run=${3:-run-$model}
trainer=${SONOPLEX_TRAIN:-$here/train/target/release/sonoplex-train}
[ -x "$trainer" ] || { echo "train-models: no trainer; build it with tools/train-build.sh tch" >&2; exit 1; }

# one thread a model and memory that is kept: two models at once on two cores are faster than one after the other
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000

if [ -e "$run/settings.json" ]; then
  exec "$trainer" --resume "$run"
fi

negatives=$run-negatives
mkdir -p "$negatives"
for picture in "$data"/no_nerve/*.png; do
  case ${picture##*/} in
    dataset1_S5_* | dataset1_S10_* | dataset1_S11_* | dataset2_jumping_*) ;;
    *) ln -sf "$picture" "$negatives/" ;;
  esac
done
negatives=$(cd "$negatives" && pwd)

plexus=(--data "$data/kaggle_bp" --hold-out 2,7,14,21,22,30,36,41 --validate folds:10 --extra "0.5*empty:$negatives"
  --extra 0.5*phantom:seed=1000-1019,frames=2,nerve=off --size 128x96 --precision mixed --mean 0.999
  --augment rotate=15,scale=0.2,stretch=0.1,shift=0.15,shear=0.1,elastic=0.03,contrast=0.2,gamma=0.35,gain=0.2,speckle=0.15,shadow=0.1,blur=0.1,jpeg=0.05,without=0
  --license "research only, no redistribution of the data")
case $model in
  nerve-vessel)
    exec "$trainer" --data "$data/usgra_seg" --hold-out every:6 --validate folds:8 --extra "0.15*empty:$negatives" \
      --extra 0.3*phantom:seed=1000-1019,frames=2,nerve=off --extra 0.3*phantom:seed=2000-2059,frames=1 \
      --architecture resunet --levels 5 --cap 128 --size 192x192 --epochs 45 --epoch-steps 200 --rate 0.003 --mean 0.999 --precision mixed \
      --name nerve-vessel --license CC-BY-4.0 --attribution "usgra-seg by T.M.K., CC-BY 4.0" --output "$run"
    ;;
  brachial-plexus)
    exec "$trainer" "${plexus[@]}" --architecture resunet --epochs 36 --epoch-steps 400 --name brachial-plexus --output "$run"
    ;;
  mini)
    exec "$trainer" "${plexus[@]}" --architecture mini-unet --base 12 --epochs 36 --epoch-steps 400 --rate 0.004 --name mini --output "$run"
    ;;
  *)
    echo "train-models: expected nerve-vessel, brachial-plexus or mini, found '$model'" >&2
    exit 1
    ;;
esac
