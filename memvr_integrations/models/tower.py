"""Self-attention as both vision towers have it."""

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
