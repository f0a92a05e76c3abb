using Blanket.Abi.Xen;
using Blanket.Core.Domains;
using Blanket.Core.Hypercalls;
using Blanket.Core.Memory;
using Blanket.Machine;

namespace Blanket.Core.Building;

/// <summary>
/// Builds a 64-bit PV domain from a kernel image: memory, kernel, ramdisk, p2m list, start_info, page tables, first vCPU
/// (xen.h, "Start-of-day memory layout"), bit by bit, so that others have the CPU in between. Kernel and ramdisk are not trusted.
/// </summary>
public static class DomainBuilder
{
    private const ulong InterruptFlag = 1 << 9;
    private const ulong DebugStatusDefault = 0xffff0ff0;
    private const ulong DebugControlDefault = 0x400;

    /// <summary>Plans a domain.</summary>
    /// <returns><see cref="BuildStatus.Ok"/>: go on with <see cref="Continue"/>, until that ends or <see cref="Abandon"/>. Otherwise why it cannot be.</returns>
    public static BuildStatus Begin(scoped in BuildRequest request, out BuildProgress progress)
    {
        progress = new BuildProgress { Order = BuilderMemory.MaximumOrder };
        BuildStatus status = Plan(request, out _, out progress.Kernel, out progress.Layout);
        return status == BuildStatus.Ok && !DomainPages.TryCreate(out progress.Pages) ? BuildStatus.OutOfMemory : status;
    }

    /// <summary>
    /// Goes on with the building of a domain that has no memory but what this gave it, until it is done or <see cref="Preemption.IsNeeded"/>; each go does
    /// something. In the end its vCPU 0 is initialised and down. After a failure the domain keeps what it got; destroying it returns that.
    /// </summary>
    /// <param name="domain">The domain, with its vCPU 0, its shared_info and its limit of memory.</param>
    /// <param name="request">What to build it from: the same each time.</param>
    /// <param name="progress">From <see cref="Begin"/>; of no more use after any answer but <see cref="BuildStatus.Unfinished"/>.</param>
    /// <param name="result">What others have to know about it, when it is done.</param>
    public static BuildStatus Continue(Domain domain, scoped in BuildRequest request, ref BuildProgress progress, out BuildResult result)
    {
        result = default;
        BuildStatus status = Fill(domain, request, ref progress);
        if (status == BuildStatus.Ok)
        {
            ref readonly DomainLayout layout = ref progress.Layout;
            result.StoreFrame = progress.Pages.Frame(layout.StorePfn);
            result.ConsoleFrame = progress.Pages.Frame(layout.ConsolePfn);
            result.RootFrame = progress.Pages.Frame(layout.RootPfn);
            result.StartInfoAddress = AddressOf(layout, layout.StartInfoPfn);
            result.Entry = progress.Kernel.Entry;
            status = StartFirstVcpu(domain, layout, result);
        }

        if (status != BuildStatus.Unfinished)
        {
            Abandon(ref progress);
        }

        return status;
    }

    /// <summary>Ends an unfinished construction; the domain keeps what it got.</summary>
    public static void Abandon(ref BuildProgress progress)
    {
        progress.Pages.Release();
        progress = default;
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

    private static BuildStatus Fill(Domain domain, in BuildRequest request, ref BuildProgress progress)
    {
        ref readonly DomainLayout layout = ref progress.Layout;
        ref StepProgress steps = ref progress.Steps;
        DomainPages pages = progress.Pages;
        steps.Restart();
        BuildStatus status = BuilderMemory.Populate(domain, layout, request.Pages, pages, ref steps, ref progress.Order);
        if (status == BuildStatus.Ok)
        {
            status = ElfImage.Open(request.Kernel, out ElfImage image);
            status = status == BuildStatus.Ok ? KernelLoader.Load(image, progress.Kernel, pages, ref steps) : status;
        }

        if (status != BuildStatus.Ok)
        {
            return status;
        }

        if (!pages.TryWrite(layout.RamdiskPfn << Cpu.PageShift, request.Ramdisk, ref steps))
        {
            return BuildStatus.Unfinished;
        }

        if (steps.TryEnter())
        {
            StartInfoPage.Write(request, domain.SharedInfoFrame, layout, pages);
            StartInfoPage.MaskEvents(domain.SharedInfoFrame);
            WriteHypercallPage(progress.Kernel, pages);
            steps.Leave();
        }

        return InitialPageTables.TryWrite(layout, pages, ref steps) ? BuildStatus.Ok : BuildStatus.Unfinished;
    }

    private static void WriteHypercallPage(in KernelParameters kernel, in DomainPages pages)
    {
        if (kernel.HypercallPage != KernelParameters.Unset)
        {
            ulong pfn = (kernel.HypercallPage - kernel.VirtualBase) >> Cpu.PageShift;
            HypercallPage.Write(PhysicalMemory.Frame(pages.Frame(pfn)));
        }
    }

    private static BuildStatus StartFirstVcpu(Domain domain, in DomainLayout layout, in BuildResult result)
    {
        Vcpu? vcpu = domain.Vcpus[0];
        if (vcpu == null)
        {
            return BuildStatus.ContextRefused;
        }

        int error = RootTable.Install(vcpu, result.RootFrame);
        if (error != 0)
        {
            return error == -Errno.ERESTART ? BuildStatus.Unfinished : BuildStatus.PageTablesRefused;
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
