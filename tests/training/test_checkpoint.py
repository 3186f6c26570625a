import torch

from downup.training.checkpoint import load_tensors, save_tensors


def test_what_was_saved_is_loaded(tmp_path):
    saved = {"weight": torch.rand(3, 2), "steps": torch.tensor(7), "half": torch.rand(4).bfloat16()}
    save_tensors(tmp_path / "file", saved, {"epoch": 3})
    loaded, about = load_tensors(tmp_path / "file")

    assert about == {"epoch": 3}
    assert loaded.keys() == saved.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in saved.items())
