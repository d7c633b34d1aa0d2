"""Each function of the tables: our run of its nodes has PyTorch's value and PyTorch's gradients."""

from typing import Any

import pytest

from service.client import Client

torch = pytest.importorskip("torch", reason="left to `make test-peers`")

from service.recorders.torch import record  # noqa: E402

pytestmark = pytest.mark.peers

F = torch.nn.functional

# Of x and y, 3 by 4; z, 2 by 3 by 4; im, 2 images of 4 by 4 in 4 channels; vectors w1 to w4; kernels, labels and signs.
EXPRESSIONS = {
    "elementwise": """
        abs(x) ; -x ; x.sign() ; x.reciprocal() ; x.exp() ; torch.exp2(x) ; x.expm1() ; (x * x + 1).log() ;
        (x * x + 1).log2() ; (x * x + 1).log10() ; (x * x).log1p() ; (x * x + 1).sqrt() ; x.sin() ; x.cos() ;
        x.tan() ; x.tanh().asin() ; x.tanh().acos() ; x.atan() ; x.sinh() ; x.cosh() ; x.tanh() ; x.asinh() ;
        (x * x + 2).acosh() ; (x / 9).atanh() ; x.erf() ; x.erfc() ; torch.lgamma(x * x + 1) ;
        torch.digamma(x * x + 1) ; x.floor() + x ; x.ceil() + x ; x.round() + x ; x.sigmoid() ; x.relu() ;
        F.selu(x) ; F.mish(x) ; F.softsign(x) ; F.hardswish(x) ; x.clone() ; x * y ; x / y ; x + y ; x - y ;
        x @ y.T ; x.mm(y.t()) ; (x * x + 1) ** y ; x ** 3 ; 2 ** x ; x ** (-1) ; x ** 0.5 * 0 + x ;
        torch.maximum(x, y) ; torch.minimum(x, y) ; torch.atan2(x, y) ; torch.hypot(x, y) ; torch.logaddexp(x, y) ;
        torch.xlogy(x, y * y + 1) ; x % y ; torch.remainder(x, 2.0) ; torch.fmod(x, y) ; 1 - x ; 1 / x ; 3 + x ;
        x - 2 ; torch.add(x, y, alpha=2) ; torch.sub(x, y, alpha=0.5) ; torch.rsub(x, y) ;
        torch.addcmul(x, y, x, value=0.3) ; torch.addcdiv(x, y, x, value=0.3) ; torch.lerp(x, y, 0.3) ;
        torch.lerp(x, y, x) ; x.square() ; (x * x + 1).rsqrt() ; x.clamp(-0.5, 0.5) ; x.clamp(min=0.1) ;
        x.clamp(min=y) ; x.clamp_min(0.0) ; x.clamp_max(0.2) ; torch.where(x > 0, x, y) ;
        torch.where(x > 0, x, 0.0) ; x.masked_fill(x > 0, 2.0) ; x.to(torch.float64) ; x.double() + y ;
        x.bfloat16().float() ; x.half() + 1 ; x.to(torch.int64) + x ; (x > 0).float() * x ; F.leaky_relu(x, 0.2) ;
        F.elu(x, 0.7) ; F.celu(x, 0.7) ; F.gelu(x) ; F.gelu(x, approximate='tanh') ; F.silu(x) ; F.relu6(x) ;
        F.hardtanh(x) ; F.hardsigmoid(x) ; F.softplus(x) ; F.softplus(x, 2, 5) ; F.logsigmoid(x) ; F.tanhshrink(x) ;
        F.softshrink(x) ; F.hardshrink(x) ; F.threshold(x, 0.1, 5.0) ; F.prelu(x, w1) ; F.prelu(x, w4) ; F.glu(x) ;
        torch.nan_to_num(x) ; x.sigmoid().logit() ; x.logit(0.1) * 0 + x ; torch.deg2rad(x) ; x.copysign(y) ;
        torch.special.expit(x) ; x.frac() ; x.trunc() + x ; torch.float_power(x * x, 2) ; x.true_divide(y) ;
        x.subtract(y) ; x.multiply(y) ; x.divide(y) ; x.fmax(y) ; x.fmin(y) ; x.absolute() ;
        ((x > 0) | (y > 0)) * x ; (x == y) * x ; torch.eq(x, y) * x ; ~(x > 0) * x ; x.ge(0) * y
    """,
    "rearranging and indexing": """
        x.reshape(2, 6) ; x.view(-1) ; x.view(2, -1) ; x.flatten() ; x.unflatten(1, (2, 2)) ; x.unsqueeze(0) ;
        x.unsqueeze(1).squeeze(1) ; x.T ; x.t() ; x.mT ; x.permute(1, 0) ; x.permute((1, 0)) ; x.transpose(0, 1) ;
        x.swapaxes(0, -1) ; z.movedim(0, -1) ; z.movedim((0, 1), (1, 0)) ; torch.cat([x, y]) ;
        torch.cat([x, y], -1) ; torch.stack([x, y]) ; torch.stack([x, y], -1) ; torch.hstack([x, y]) ;
        torch.vstack([x, y]) ; torch.dstack([x, y]) ; x.split(2)[0] ; x.split([1, 2], 0)[1] ; x.chunk(2, 1)[1] ;
        x.chunk(3)[0] ; x.tensor_split(2, 1)[1] ; x.unbind(1)[2] ; x.select(1, 2) ; x.select(0, -1) ;
        x.narrow(1, 1, 2) ; x[1] ; x[-1] ; x[:, 1] ; x[1:] ; x[:, ::2] ; x[..., 0] ; x[None] ; x[:, None, 1:] ;
        x[[0, 2]] ; x[torch.tensor([0, 0, 2])] ; x[:, torch.tensor([0, 0])] ; x[x > 0] ;
        x[torch.tensor([True, False, True])] ; x[torch.tensor([0, 1]), torch.tensor([2, 3])] ;
        z[:, torch.tensor([0, 1]), :2] ; z[0, ..., 1] ; x.flip(0) ; x.flip(0, 1) ; x.roll(1, 0) ;
        x.roll((1, 2), (0, 1)) ; x.roll(3) ; x.repeat(2, 1) ; x.repeat(2, 1, 1) ; x.tile(2) ;
        x.repeat_interleave(2, 1) ; x.repeat_interleave(2, dim=0) ; torch.repeat_interleave(x, 3, 0) ;
        F.pad(x, (1, 2)) ; F.pad(x, (1, 2, 0, 1), value=3.0) ; F.pad(z, (1, 1), mode='reflect') ;
        F.pad(z, (1, 1), mode='replicate') ; F.pad(z, (1, 1), mode='circular') ; x.tril() ; x.triu(1) ; x.tril(-1) ;
        x.expand(2, 3, 4) ; x[:1].expand(3, 4) ; x[:1].expand(-1, -1) ; x[:1].expand_as(y) ;
        x.broadcast_to(2, 3, 4) ; torch.einsum('ij,kj->ik', x, y) ; torch.einsum('ij,ij->', x, y) ;
        torch.einsum('...j,kj->...k', z, y) ; x.diagonal() ; torch.diag(x[:, :3]) ; x.unfold(1, 2, 1) ;
        torch.take(x, torch.tensor([0, 5])) ; x.gather(1, torch.tensor([[0, 1], [1, 1], [3, 0]])) ;
        x.gather(0, torch.tensor([[0, 1]])) ; x.index_select(1, torch.tensor([0, 2, 2])) ;
        torch.take_along_dim(x, x.argsort(1), 1) ; x.scatter(1, torch.tensor([[0], [1], [2]]), 5.0) ;
        x.scatter(1, torch.tensor([[0], [1], [2]]), y[:, :1]) ;
        x.scatter_add(1, torch.tensor([[0, 1], [1, 1], [2, 0]]), y[:, :2]) ;
        x.scatter_reduce(1, torch.tensor([[0, 1], [1, 2], [2, 0]]), y[:, :2], 'amax') ;
        x.index_add(0, torch.tensor([0, 2]), y[:2]) ; x.index_add(1, torch.tensor([0, 2]), y[:, :2], alpha=0.5) ;
        x.masked_select(x > 0) ; x.index_fill(0, torch.tensor([0]), 2.0) ;
        x.index_copy(0, torch.tensor([0]), y[:1]) ; x.masked_scatter(x > 0, y) ;
        torch.meshgrid(x[0], y[0], indexing='ij')[0] ; x.rot90() ; torch.outer(x[0], y[0]) ; torch.dot(x[0], y[0]) ;
        torch.mv(x, y[0]) ; x.matmul(y[0]) ; torch.bmm(z, z.mT) ;
        torch.baddbmm(z[:, :2, :2], z[:, :2], z[:, :2].mT) ; torch.addmm(x[:, :3], x, y.T, alpha=2, beta=0.5) ;
        torch.addmv(x[:, 0], x, y[0]) ; torch.linalg.multi_dot([x, y.T, x]) ;
        torch.tensordot(x, y, dims=([1], [1])) ; torch.cdist(x, y) ;
        torch.linalg.inv(x[:, :3] @ x[:, :3].T + torch.eye(3)) ; torch.linalg.det(x[:, :3]) ;
        torch.linalg.solve(x[:, :3] @ x[:, :3].T + torch.eye(3), y) ;
        torch.linalg.cholesky(x[:, :3] @ x[:, :3].T + torch.eye(3)) ;
        torch.logdet(x[:, :3] @ x[:, :3].T + torch.eye(3)) ; x.ravel() ; x.view_as(y) ; x.contiguous() ;
        x.squeeze() ; x.new_zeros(3, 4) + x ; x.type(torch.float64) ; torch.broadcast_tensors(x, y[:1])[1] ;
        x.adjoint() ; torch.combinations(x[0]) ; torch.select_scatter(x, y[0], 0, 1) ;
        torch.slice_scatter(x, y[:1], 0, 1, 2) ; torch.diag_embed(x)
    """,
    "reductions": """
        x.sum() ; x.sum(1) ; x.sum(dim=(0, 1), keepdim=True) ; x.mean() ; x.mean(-1) ; x.prod() ; x.prod(1) ;
        x.amax(1) ; x.amin((0, 1)) ; x.max() ; x.min() ; x.max(1)[0] ; x.max(1).values ; x.min(0)[0] ;
        torch.max(x, y) ; x.argmax(1) * x[:, 0] ; x.argmax() * x ; x.var() ; x.var(1) ; x.std(1, unbiased=False) ;
        x.var(dim=1, correction=0) ; torch.var_mean(x, 1)[0] + torch.var_mean(x, 1)[1] ; torch.std_mean(x, 1)[0] ;
        x.norm() ; x.norm(dim=1) ; x.norm(p=1, dim=1) ; torch.linalg.norm(x) ; torch.linalg.norm(x, dim=1) ;
        torch.linalg.vector_norm(x, 2, 1) ; torch.linalg.matrix_norm(x) ; torch.norm(x, p=3, dim=1) ; x.softmax(1) ;
        F.softmax(x, -1) ; x.log_softmax(0) ; F.softmin(x, 1) ; x.logsumexp(1) ; x.cumsum(1) ; x.cumprod(0) ;
        torch.logcumsumexp(x, 1) ; x.cummax(1)[0] ; x.sort(1)[0] ; x.sort(1, descending=True)[0] ; x.topk(2)[0] ;
        x.topk(2, largest=False)[0] ; x.median(1)[0] ; x.kthvalue(2, 1)[0] ; F.normalize(x) ;
        F.normalize(x, dim=0) ; F.cosine_similarity(x, y) ; F.pairwise_distance(x, y) ; torch.dist(x, y) ;
        x.diff() ; x.all() * x ; x.aminmax().max ; x.mean(()) ; x.sum([]) ; x[:, :3].trace()
    """,
    "layers": """
        F.linear(x, w4.expand(2, 4)) ; F.linear(z, y, w3) ; F.linear(x[0], y, w3) ; F.bilinear(x, x, z4, w2) ;
        F.layer_norm(x, (4,)) ; F.layer_norm(x, (4,), w4, b4) ; F.layer_norm(z, (3, 4), y) ;
        F.rms_norm(x, (4,), w4) ; F.batch_norm(x, None, None, w4, b4, True) ;
        F.batch_norm(x, b4.detach(), (w4 * w4 + 1).detach(), w4, b4) ; F.group_norm(im, 2, w4, b4) ;
        F.instance_norm(im) ; F.instance_norm(im, weight=w4, bias=b4) ; F.local_response_norm(im, 2) ;
        F.conv2d(im, k2, w2) ; F.conv2d(im, k2, padding='same') ;
        F.conv2d(im, k2, stride=2, padding=1, dilation=1) ; F.conv2d(im[0], k2) ; F.conv2d(im, kg, groups=2) ;
        F.conv1d(z, k1, padding=1) ; F.conv_transpose2d(im, kt, stride=2, padding=1, output_padding=1) ;
        F.conv_transpose1d(z, k1t) ; F.max_pool2d(im, 2) ; F.max_pool2d(im, 3, 2, 1) ;
        F.max_pool2d(im, 2, ceil_mode=True) ; F.max_pool1d(z, 2) ; F.avg_pool2d(im, 2) ; F.avg_pool2d(im, 3, 2, 1) ;
        F.avg_pool2d(im, 3, 2, 1, count_include_pad=False) ; F.adaptive_avg_pool2d(im, 1) ;
        F.adaptive_avg_pool2d(im, (2, 2)) ; F.adaptive_avg_pool2d(im, 3) ; F.adaptive_max_pool2d(im, 2) ;
        F.adaptive_avg_pool2d(im, (None, 1)) ; F.lp_pool2d(im, 2, 2) ; F.dropout(x, 0.3) ; F.dropout2d(im, 0.5) ;
        F.alpha_dropout(x, 0.3) ; F.dropout(x, 0.3, False) ; F.interpolate(im, scale_factor=2) ;
        F.interpolate(im, scale_factor=2, mode='bilinear') ;
        F.interpolate(im, size=(7, 5), mode='bilinear', align_corners=True) ; F.interpolate(im, size=(7, 5)) ;
        F.interpolate(im, scale_factor=2, mode='bicubic') ; F.interpolate(im, scale_factor=1.5, mode='bilinear') ;
        F.interpolate(im, size=(3, 2), mode='area') ; F.pixel_shuffle(im, 2) ; F.pixel_unshuffle(im, 2) ;
        F.embedding(torch.tensor([[0, 2], [1, 1]]), x) ; F.embedding(torch.tensor([0, 2]), x, padding_idx=0) ;
        F.embedding_bag(torch.tensor([[0, 2], [1, 1]]), x) ; F.unfold(im, 2) ; F.fold(F.unfold(im, 2), (4, 4), 2) ;
        F.channel_shuffle(im, 2) ; F.scaled_dot_product_attention(z, z, z) ;
        F.scaled_dot_product_attention(z, z, z, is_causal=True)
    """,
    "losses": """
        F.mse_loss(x, y) ; F.mse_loss(x, y, reduction='sum') ; F.mse_loss(x, y, reduction='none') ;
        F.l1_loss(x, y) ; F.smooth_l1_loss(x, y) ; F.smooth_l1_loss(x, y, beta=0.5) ;
        F.huber_loss(x, y, delta=0.5) ; F.cross_entropy(x, lab) ; F.cross_entropy(x, lab, reduction='sum') ;
        F.cross_entropy(x, lab, reduction='none') ; F.cross_entropy(x, lab, weight=w4.detach().abs()) ;
        F.cross_entropy(x, lab, ignore_index=1) ; F.cross_entropy(x, lab, label_smoothing=0.1) ;
        F.cross_entropy(x, y.softmax(1)) ; F.cross_entropy(x, y.softmax(1), label_smoothing=0.1) ;
        F.cross_entropy(im, labim) ; F.cross_entropy(x[0], lab[0]) ; F.nll_loss(x.log_softmax(1), lab) ;
        F.binary_cross_entropy(x.sigmoid(), y.sigmoid()) ; F.binary_cross_entropy_with_logits(x, y.sigmoid()) ;
        F.binary_cross_entropy_with_logits(x, y.sigmoid(), pos_weight=w4.detach().abs()) ;
        F.kl_div(x.log_softmax(1), y.softmax(1), reduction='batchmean') ;
        F.kl_div(x.log_softmax(1), y.log_softmax(1), reduction='sum', log_target=True) ; F.hinge_embedding_loss(x, sg) ;
        F.margin_ranking_loss(x, y, sg) ; F.cosine_embedding_loss(x, y, sg[:, 0]) ;
        F.triplet_margin_loss(x, y, x * 2) ; F.gaussian_nll_loss(x, y, x * x + 0.1) ; F.poisson_nll_loss(x, y) ;
        F.soft_margin_loss(x, sg) ; F.multilabel_soft_margin_loss(x, (sg + 1) / 2)
    """,
}


def tensors() -> dict[str, Any]:
    torch.manual_seed(0)
    shapes = {
        **{"x": (3, 4), "y": (3, 4), "z": (2, 3, 4), "z4": (2, 4, 4), "im": (2, 4, 4, 4)},
        **{"w1": (1,), "w2": (2,), "w3": (3,), "w4": (4,), "b4": (4,)},
        **{"k2": (2, 4, 3, 3), "kg": (4, 2, 3, 3), "kt": (4, 2, 3, 3), "k1": (5, 3, 3), "k1t": (3, 5, 3)},
    }
    drawn = {name: torch.randn(shape, requires_grad=True) for name, shape in shapes.items()}
    whole = {"lab": torch.tensor([0, 3, 1]), "labim": torch.randint(0, 4, (2, 4, 4))}
    return drawn | whole | {"sg": torch.sign(torch.randn(3, 4)), "torch": torch, "F": F}


@pytest.mark.parametrize("kind", EXPRESSIONS)
def test_our_figures_are_those_of_pytorch(service_url: str, kind: str) -> None:
    """All expressions of a kind in one program, the sum of what they give, weighted so that each element counts."""
    given, total = tensors(), 0
    with record() as recording:
        for expression in EXPRESSIONS[kind].split(";"):
            found = eval(expression.strip(), given)
            total = total + (found * torch.linspace(1, 2, found.numel()).reshape(found.shape)).sum()
        total.backward()
    assert recording.unmapped == [] and recording.notes == []
    with Client(service_url) as client:
        theirs = recording.upload(client)
        ours = client.create_run(theirs.graph_id, recording.inputs, output=recording.output, conventions="torch")
        compared = client.create_comparison(ours, theirs)
    assert (compared.verdict, [(origin.node, origin.sentence) for origin in compared.origins]) == ("same", [])
