"""One layer of a vision tower, as both checkpoints have it."""

from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """Every patch attends to every patch of its image.

    `qkv` holds the queries of all heads, then the keys, then the values.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (images, patches, width) to the same shape."""
        images, length, width = patches.shape
        split = self.qkv(patches).view(images, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(images, length, width))
        return out


class TowerLayer(nn.Module):
    """Attention and FFN, each with a norm before it, or after it as CogVLM's tower has them."""

    def __init__(
        self, width: int, inner: int, heads: int, epsilon: float, *, norm_first: bool = True
    ) -> None:
        super().__init__()
        self.norm_first = norm_first
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches (images, patches, width) to the same shape."""
        if self.norm_first:
            patches = patches + self.attention(self.norm1(patches))
            out: Tensor = patches + self.fc2(functional.gelu(self.fc1(self.norm2(patches))))
            return out
        patches = patches + self.norm1(self.attention(patches))
        out = patches + self.norm2(self.fc2(functional.gelu(self.fc1(patches))))
        return out
