#!/usr/bin/env bash
# Trains a model that ships, with the settings of its card; run again after it was stopped or killed, it goes on.
#
#   tools/train-models.sh nerve-vessel|brachial-plexus|mini DATA [FOLDER]
#
# DATA holds kaggle_bp/, usgra_seg/ and no_nerve/. The model is FOLDER/MODEL.onnx, its runs lie beside it; brachial-plexus and mini
# have the same teachers, which one FOLDER for both trains once. The frames that the cards
# judge by are held out: multiples of 6 of usgra_seg; subjects 2, 7, 14, 21, 22, 30, 36 and 41 of kaggle_bp; subjects S5, S10, S11 and
# the jumping one of no_nerve.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
model=${1:?expected a model: nerve-vessel, brachial-plexus or mini}
case $model in
  nerve-vessel | brachial-plexus | mini) ;;
  *)
    echo "train-models: expected nerve-vessel, brachial-plexus or mini, found '$model'" >&2
    exit 1
    ;;
esac
data=$(cd "${2:?expected the folder of the data}" && pwd)
folder=${3:-run-$model}
trainer=${SONOPLEX_TRAIN:-$here/train/target/release/sonoplex-train}
[ -x "$trainer" ] || { echo "train-models: no trainer; build it with tools/train-build.sh tch" >&2; exit 1; }

# one thread a run and memory that is kept: two at once on two cores are faster than one after the other
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000

# links NAME SOURCE…: a folder of links to these files and no others
links() {
  local to=$folder/$1
  shift
  mkdir -p "$to"
  find "$to" -maxdepth 1 -type l -delete
  ln -s "$@" "$to/"
}

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
shopt -s nullglob
muscle=() pictures=() masks=()
for picture in "$data"/no_nerve/*.png; do
  case ${picture##*/} in
    dataset1_S5_* | dataset1_S10_* | dataset1_S11_* | dataset2_jumping_*) ;;
    *) muscle+=("$picture") ;;
  esac
done
for picture in "$data"/usgra_seg/images/*.png; do
  name=${picture##*/}
  number=${name%.png}
  [[ $number =~ ^[0-9]+$ ]] || { echo "train-models: expected numbers as names, found $picture" >&2; exit 1; }
  # held out, or a near-copy of what is
  ((10#$number % 6 == 0)) || [[ $number =~ ^(0028|0073|0099)$ ]] && continue
  pictures+=("$picture")
  masks+=("$data/usgra_seg/masks/$name")
done
[ ${#muscle[@]} -gt 0 ] && [ ${#pictures[@]} -gt 0 ] || { echo "train-models: no frames in $data/no_nerve or $data/usgra_seg" >&2; exit 1; }
shopt -u nullglob
links negatives "${muscle[@]}"
links regions/images "${pictures[@]}"
links regions/masks "${masks[@]}"

# run NUMBER SETTINGS…: a run, from its start or from where it was stopped, beside the others
runs=()
run() {
  local number=$1
  shift
  local command=("$@" --precision mixed --mean 0.999 --name "$model" --output "$folder/$number")
  if [ -e "$folder/$number/settings.json" ]; then
    command=(--resume "$folder/$number")
  fi
  echo "train-models: run $number; its progress is in $folder/$number.log"
  "$trainer" "${command[@]}" >>"$folder/$number.log" 2>&1 &
  runs+=($!)
}
# ready: waits for all that run
ready() {
  local failed=
  for run in "${runs[@]}"; do
    wait "$run" || failed=1
  done
  runs=()
  [ -z "$failed" ] || { echo "train-models: a run is not done; its log says why, and starting this again goes on" >&2; exit 1; }
}
# who is stopped saves first
trap 'kill "${runs[@]}" 2>/dev/null || true; wait; exit 130' INT TERM

regions=(--data "$data/usgra_seg" --hold-out every:6 --validate folds:8 --extra "0.15*empty:$folder/negatives"
  --extra "0.3*phantom:seed=1000-1019,frames=2,nerve=off" --extra "0.3*phantom:seed=2000-2059,frames=1" --size 192x192 --levels 5 --base 12 --cap 96
  --epochs 40 --epoch-steps 200 --rate 0.003 --license CC-BY-4.0 --attribution "usgra-seg by T.M.K., CC-BY 4.0")
plexus=(--data "$data/kaggle_bp" --hold-out 2,7,14,21,22,30,36,41 --extra "0.5*empty:$folder/negatives"
  --extra "0.5*phantom:seed=1000-1019,frames=2,nerve=off" --size 128x96 --license "research only, no redistribution of the data")
mild=rotate=15,scale=0.2,stretch=0.1,shift=0.15,shear=0.1,elastic=0.03,contrast=0.2,gamma=0.35,gain=0.2,speckle=0.15,shadow=0.1,blur=0.1,jpeg=0.05,without=0
strong=rotate=15,scale=0.2,stretch=0.1,shift=0.15,shear=0.1,elastic=0.03,without=0.05
# those that learn from masks alone, two at a time, and teach the others
teachers() {
  local all=("${plexus[@]}" --architecture resunet --validate folds:10 --epoch-steps 400)
  run 1 "${all[@]}" --base 12 --epochs 36 --augment "$mild" --fold 1 --seed 2 --extra "$folder/regions"
  run 2 "${all[@]}" --base 12 --epochs 36 --augment "$mild" --fold 2 --seed 3
  ready
  run 3 "${all[@]}" --base 16 --epochs 36 --augment "$mild" --fold 0 --seed 1
  run 4 "${all[@]}" --base 16 --epochs 30 --augment "$strong" --fold 0 --seed 1
  ready
}
taught=(--epochs 36 --epoch-steps 400 --augment "$mild" --teacher-weight 0.7)
for number in 1 2 3 4; do
  taught+=(--teacher "$folder/$number/model.onnx")
done
case $model in
  nerve-vessel)
    run 1 "${regions[@]}" --architecture resunet --fold 1 --seed 2
    run 2 "${regions[@]}" --architecture unet --fold 2 --seed 3
    published=(--publish "$folder/1" --publish "$folder/2" --set uncertain=0.5..0.97,0.6..0.8)
    ;;
  brachial-plexus)
    teachers
    run 5 "${plexus[@]}" "${taught[@]}" --architecture resunet --cap 128 --validate none --seed 5
    run 6 "${plexus[@]}" "${taught[@]}" --architecture resunet --cap 96 --validate folds:10 --fold 1 --seed 6
    published=(--publish "$folder/5" --publish "$folder/6" --set uncertain=0.5..0.95 --set "attribution=usgra-seg by T.M.K., CC-BY 4.0")
    ;;
  mini)
    teachers
    run 7 "${plexus[@]}" "${taught[@]}" --architecture mini-unet --base 12 --rate 0.004 --validate folds:10 --fold 0 --seed 1
    published=(--publish "$folder/7" --set uncertain=0.5..0.9 --set "attribution=usgra-seg by T.M.K., CC-BY 4.0")
    ;;
esac
ready
"$trainer" "${published[@]}" --output "$folder/$model.onnx"
