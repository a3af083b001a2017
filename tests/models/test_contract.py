"""What every architecture keeps."""

from __future__ import annotations

import pytest
import safetensors.torch
import torch

import striate as st
from striate.errors import ModelError
from striate.models import MODELS


@pytest.mark.parametrize("name", MODELS)
class TestEveryArchitecture:
    def test_forward_and_backward_give_finite_numbers_of_the_right_shape(self, name):
        size_px = MODELS[name].min_size_px
        model = st.models.create(name, classes=7, channels=1, size_px=size_px)
        logits = model(torch.randn(2, 1, size_px, size_px))
        assert logits.shape == (2, 7)
        logits.square().sum().backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.isfinite().all(), parameter_name
            assert parameter.grad.abs().sum() > 0, parameter_name

    @pytest.mark.parametrize("extra_px", [0, 1, 5, 6])
    def test_odd_sizes_are_taken(self, name, extra_px):
        size_px = MODELS[name].min_size_px + extra_px
        model = st.models.create(name, classes=3, size_px=size_px).eval()
        assert model(torch.randn(1, 3, size_px, size_px)).shape == (1, 3)

    def test_a_smaller_size_is_refused_with_the_way_out(self, name):
        size_px = MODELS[name].min_size_px - 1
        with pytest.raises(ModelError, match=rf"{name} cannot take {size_px}x{size_px} images.*--size {size_px + 1}"):
            st.models.create(name, classes=3, size_px=size_px)

    def test_the_seed_decides_the_weights_and_the_global_generator_is_left_alone(self, name):
        before = torch.random.get_rng_state()
        one, same, other = (st.models.create(name, classes=3, seed=seed).state_dict() for seed in (1, 1, 2))
        assert torch.equal(torch.random.get_rng_state(), before)
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert any(not torch.equal(one[key], other[key]) for key in one)

    def test_weights_survive_safetensors(self, name):
        model, fresh = (st.models.create(name, classes=3, seed=seed).eval() for seed in (1, 2))
        size_px = MODELS[name].size_px
        images = torch.randn(2, 3, size_px, size_px)
        fresh.load_state_dict(safetensors.torch.load(safetensors.torch.save(model.state_dict())))
        assert torch.equal(model(images), fresh(images))

    def test_one_image_gives_what_it_gives_in_a_batch(self, name):
        size_px = MODELS[name].size_px
        model = st.models.create(name, classes=3).eval()
        images = torch.randn(3, 3, size_px, size_px)
        torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-4)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(ModelError, match=r"unknown model 'resnet81' \(did you mean resnet18\?\); there are: lenet5"):
        st.models.create("resnet81", classes=2)


def test_lenet5_has_its_well_known_61706_parameters():
    model = st.models.create("lenet5", classes=10, channels=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_706


def test_resnet20_has_the_papers_quarter_million_parameters():
    # He et al. 2015, table 6: 0.27M
    model = st.models.create("resnet20", classes=10)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == 0.27
