using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// Builds a 64-bit PV domain from a kernel image: memory, kernel, ramdisk, p2m list, start_info, page tables, first vCPU
/// (xen.h, "Start-of-day memory layout"). Kernel and ramdisk are not trusted.
/// </summary>
public static class DomainBuilder
{
    private const ulong InterruptFlag = 1 << 9;
    private const ulong DebugStatusDefault = 0xffff0ff0;
    private const ulong DebugControlDefault = 0x400;

    /// <summary>Builds a domain that has no memory yet; its vCPU 0 is initialised and down. After a failure the domain keeps what it got; destroying it returns that.</summary>
    /// <param name="domain">The domain, with its vCPU 0, its shared_info and its limit of memory.</param>
    /// <param name="request">What to build it from.</param>
    /// <param name="result">What others have to know about it.</param>
    public static BuildStatus Build(Domain domain, scoped in BuildRequest request, out BuildResult result)
    {
        result = default;
        BuildStatus status = Plan(request, out ElfImage image, out KernelParameters kernel, out DomainLayout layout);
        if (status != BuildStatus.Ok)
        {
            return status;
        }

        if (!DomainPages.TryCreate(out DomainPages pages))
        {
            return BuildStatus.OutOfMemory;
        }

        status = Fill(domain, request, image, kernel, layout, pages);
        if (status == BuildStatus.Ok)
        {
            result.StoreFrame = pages.Frame(layout.StorePfn);
            result.ConsoleFrame = pages.Frame(layout.ConsolePfn);
            result.RootFrame = pages.Frame(layout.RootPfn);
            result.StartInfoAddress = AddressOf(layout, layout.StartInfoPfn);
            result.Entry = kernel.Entry;
        }

        pages.Release();
        return status == BuildStatus.Ok ? StartFirstVcpu(domain, layout, result) : status;
    }

    /// <summary>Whether a kernel could be started with this memory; nothing is allocated.</summary>
    public static BuildStatus CheckRequest(scoped in BuildRequest request) => Plan(request, out _, out _, out _);

    private static BuildStatus Plan(
        in BuildRequest request, out ElfImage image, out KernelParameters kernel, out DomainLayout layout)
    {
        kernel = default;
        layout = default;
        BuildStatus status = ElfImage.Open(request.Kernel, out image);
        if (status != BuildStatus.Ok)
        {
            return status;
        }

        if (request.CommandLine.Length >= StartInfoCommandLine.Size)
        {
            return BuildStatus.CommandLineTooLong;
        }

        if (request.Pages > DomainPages.Maximum)
        {
            return BuildStatus.MemoryTooLarge;
        }

        status = KernelReader.Read(image, out kernel);
        return status == BuildStatus.Ok
            ? DomainLayout.Plan(kernel, (ulong)request.Ramdisk.Length, request.Pages, out layout)
            : status;
    }

    private static BuildStatus Fill(
        Domain domain, in BuildRequest request, in ElfImage image, in KernelParameters kernel, in DomainLayout layout, in DomainPages pages)
    {
        if (!BuilderMemory.TryPopulate(domain, layout, request.Pages, pages))
        {
            return BuildStatus.OutOfMemory;
        }

        BuildStatus status = KernelLoader.Load(image, kernel, pages);
        if (status != BuildStatus.Ok)
        {
            return status;
        }

        pages.Write(layout.RamdiskPfn << Cpu.PageShift, request.Ramdisk);
        StartInfoPage.Write(request, domain.SharedInfoFrame, layout, pages);
        StartInfoPage.MaskEvents(domain.SharedInfoFrame);
        if (kernel.HypercallPage != KernelParameters.Unset)
        {
            ulong pfn = (kernel.HypercallPage - kernel.VirtualBase) >> Cpu.PageShift;
            HypercallPage.Write(PhysicalMemory.Frame(pages.Frame(pfn)));
        }

        InitialPageTables.Write(layout, pages);
        return BuildStatus.Ok;
    }

    private static BuildStatus StartFirstVcpu(Domain domain, in DomainLayout layout, in BuildResult result)
    {
        Vcpu? vcpu = domain.Vcpus[0];
        if (vcpu == null)
        {
            return BuildStatus.ContextRefused;
        }

        if (RootTable.Install(vcpu, result.RootFrame) != 0)
        {
            return BuildStatus.PageTablesRefused;
        }

        VcpuGuestContext context = default;
        ulong stackTop = AddressOf(layout, layout.StackPfn + 1);
        context.Flags = VcpuGuestContext.InKernel;
        context.Registers.Rip = result.Entry;
        context.Registers.Rsp = stackTop;
        context.Registers.Rsi = result.StartInfoAddress;
        context.Registers.Rflags = InterruptFlag;
        context.Registers.Cs = Selectors.GuestCode64;
        context.Registers.Ss = Selectors.GuestData;
        context.KernelStackSegment = Selectors.GuestData;
        context.KernelStackPointer = stackTop;
        context.ControlRegisters[3] = result.RootFrame << Cpu.PageShift;
        context.DebugRegisters[6] = DebugStatusDefault;
        context.DebugRegisters[7] = DebugControlDefault;
        return VcpuContext.TryInstall(vcpu, context) == 0 ? BuildStatus.Ok : BuildStatus.ContextRefused;
    }

    private static ulong AddressOf(in DomainLayout layout, ulong pfn) => unchecked(layout.VirtualBase + (pfn << Cpu.PageShift));
}
