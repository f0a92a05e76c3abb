using System;
using Blanket.Abi.Xen;
using Blanket.Drivers.Xen;
using Blanket.Machine;

namespace Blanket.Kernel.Platform.Xen;

/// <summary>Calls to the Xen underneath through the hypercall page. Structures are on stacks or in objects, which Xen reaches by their linear addresses.</summary>
internal sealed class HypercallPageCalls : XenHypercalls
{
    /// <inheritdoc/>
    public override long Call(uint number, ulong command, Span<byte> argument, ulong count) =>
        XenHypercallPage.CallWithStructure(number, command, argument, count);

    /// <inheritdoc/>
    public override long CallVcpu(uint command, uint vcpu, Span<byte> argument) =>
        XenHypercallPage.CallWithTarget(HypercallNumber.VcpuOp, command, vcpu, argument);
}
