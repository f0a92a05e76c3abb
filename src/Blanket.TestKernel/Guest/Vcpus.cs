using Blanket.Abi.Xen;

namespace Blanket.TestKernel;

/// <summary>The domain's vCPUs: how many there are, and how the secondary ones start.</summary>
internal static unsafe class Vcpus
{
    /// <summary>Those of the domain that have a region.</summary>
    internal static int Count { get; private set; }

    /// <summary>Counts them and prepares their records.</summary>
    internal static void Initialize()
    {
        int count = 0;
        while (count < VcpuRegion.Count && Hypercall.Vcpu(VcpuOp.IsUp, count, null) >= 0)
        {
            VcpuRegion.Of(count)->Number = count;
            VcpuRegion.Of(count)->Info = Domain.Info(count);
            count++;
        }

        Count = count;
    }

    /// <summary>Moves the vcpu_info of a vCPU that is down to a page of its own.</summary>
    internal static void Register(int vcpu, Page page)
    {
        VcpuRegisterVcpuInfo registration = default;
        registration.Frame = page.Mfn;
        Domain.Require(Hypercall.Vcpu(VcpuOp.RegisterVcpuInfo, vcpu, &registration));
        VcpuRegion.Of(vcpu)->Info = (VcpuInfo*)page.Address;
    }

    /// <summary>Brings up a vCPU that has not run yet, on its own stack and the kernel's root table. It enters <c>vcpu_main</c>.</summary>
    internal static void Start(int vcpu)
    {
        VcpuGuestContext context = default;
        context.Flags = VcpuGuestContext.InKernel;
        context.Registers.Rip = VcpuRegion.Entry();
        context.Registers.Rsp = (ulong)VcpuRegion.Of(vcpu) + VcpuRegion.Size;
        context.Registers.Rdi = (ulong)vcpu;
        context.Registers.Cs = Selector.FlatCode64;
        context.Registers.Ss = Selector.FlatStack64;
        context.KernelStackSegment = Selector.FlatStack64;
        context.KernelStackPointer = context.Registers.Rsp;
        context.ControlRegisters[3] = Domain.RootFrame << PageEntry.PageShift;
        Domain.Require(Hypercall.Vcpu(VcpuOp.Initialise, vcpu, &context));
        Domain.Require(Hypercall.Vcpu(VcpuOp.Up, vcpu, null));
    }
}
