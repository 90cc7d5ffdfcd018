import json
from pathlib import Path

import pytest

from memvr_integrations.errors import ConfigError
from memvr_integrations.types.image_policy import ImagePolicy


def test_lists_and_texts_are_kept_as_tuples_of_hosts_and_paths(tmp_path):
    policy = ImagePolicy(allowed_hosts=["a.org"], image_dirs=[str(tmp_path)])
    assert policy.allowed_hosts == ("a.org",)
    assert policy.image_dirs == (tmp_path,)
    assert hash(policy) == hash(ImagePolicy(allowed_hosts=("a.org",), image_dirs=(tmp_path,)))


def test_a_policy_survives_json(tmp_path):
    policy = ImagePolicy(
        allowed_hosts=["a.org:8443", "*"], image_dirs=[tmp_path], allow_http=True, timeout=2.5
    )
    assert ImagePolicy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert ImagePolicy.from_dict({}) == ImagePolicy()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"allowed_host": ["a.org"]}, "no field 'allowed_host'. Did you mean 'allowed_hosts'"),
        ({"allowed_hosts": "a.org"}, "allowed_hosts='a.org' must be a list"),
        ({"allowed_hosts": {"a.org"}}, "must be a list"),
        ({"allowed_hosts": [5]}, "allowed_hosts"),
        ({"image_dirs": "photos"}, "image_dirs='photos' must be a list"),
        ({"image_dirs": [""]}, "none of them empty"),
        ({"image_dirs": [None]}, "image_dirs"),
        ({"image_dirs": ["no-such-folder"]}, "'no-such-folder', which is no folder"),
        ({"allow_http": 1}, "allow_http=1"),
        ({"max_bytes": 2.5}, "max_bytes=2.5"),
        ({"timeout": True}, "timeout=True"),
        ({"timeout": "5"}, "timeout='5'"),
        ({"max_redirects": None}, "max_redirects=None"),
    ],
)
def test_what_is_no_policy_is_refused(settings, named):
    with pytest.raises(ConfigError) as refused:
        ImagePolicy.from_dict(settings)
    assert named in str(refused.value)


def test_an_empty_path_is_this_folder_only_when_it_is_said_so():
    assert ImagePolicy(image_dirs=[Path()]).image_dirs == (Path(),)
