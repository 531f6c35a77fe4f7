"""Files in a data folder that are not used are named once."""

import tempfile
from pathlib import Path

import pytest
from dataset_files import put
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerd.data.dataset import Dataset
from edgerd.data.pictures import read_picture
from edgerd.errors import PictureError


class TestUnused:
    def test_nothing_where_all_is_used(self, mvtec):
        (mvtec / "readme.txt").touch()
        (mvtec / "._x.png").touch()
        assert Dataset.open(mvtec).unused() == ()

    @pytest.mark.parametrize(
        ("place", "what"),
        [
            ("train/good/monday/1.png", "1 picture"),
            ("test/dent/batch1/1.png", "1 picture"),
            ("validation/good/1.png", "1 picture"),
            ("train/bad/1.png", "1 picture"),
            ("ground_truth/dent/1_mask.png", "1 picture"),
            ("ground_truth/bent/9_mask.png", "1 picture"),
            ("top.png", "1 picture"),
            ("train/good/1.heic", "1 .heic file"),
        ],
    )
    def test_each_place_is_named_once(self, mvtec, place, what):
        put(mvtec / place)
        assert Dataset.open(mvtec).unused() == (f"{what} in {(mvtec / place).parent}: not used",)

    def test_links_that_lead_nowhere(self, mvtec):
        (mvtec / "test/dent").symlink_to("/nas/gone")
        assert Dataset.open(mvtec).unused() == (f"1 link that leads nowhere in {mvtec / 'test'}: not used",)
        (mvtec / "train/good/11.png").symlink_to("/nas/gone.png")
        lost = Dataset.open(mvtec).train_good[-1]
        assert lost.name == "11.png"  # reading it is an error
        with pytest.raises(PictureError, match="No such file"):
            read_picture(lost)

    def test_a_circle_of_links_ends(self, mvtec):
        (mvtec / "train/good/again").symlink_to(mvtec)
        assert len(Dataset.open(mvtec).unused()) <= 1

    def test_runs_and_bundles_in_the_folder_are_not_mentioned(self, mvtec):
        put(mvtec / "bundle/pictures/1.png")
        (mvtec / "bundle/bundle.json").touch()
        assert Dataset.open(mvtec).unused() == ()

    @settings(max_examples=25, deadline=None)
    @given(st.sets(st.sampled_from(["a", "b", "test", "train", "good", "ground_truth"]), max_size=4), st.data())
    def test_every_picture_is_used_or_counted(self, names, data):
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(temporary)
            all_pictures = {put(root / f"{index}.png") for index in range(2)}
            for name in sorted(names):
                folder = root / name / data.draw(st.sampled_from([".", "x", "x/y"]))  # of many folders, few are named
                all_pictures |= {put(folder / f"{index}.png") for index in range(data.draw(st.integers(1, 3)))}
            dataset = Dataset.open_good(root)
            counted = sum(int(line.split()[0]) for line in dataset.unused())
            assert counted + len(dataset.train_good) + len(dataset.test) == len(all_pictures)
