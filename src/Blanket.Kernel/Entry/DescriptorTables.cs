using Blanket.Core.Domains;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Entry;

/// <summary>Shows vCPUs' GDT and LDT frames in the CPUs' descriptor windows.</summary>
internal sealed class DescriptorTables : Core.Memory.DescriptorWindow
{
    private const int LocalPages = CpuSetup.WindowPages - CpuSetup.LocalTablePage;
    private readonly ulong[] _reservedFrames = new ulong[Cpu.MaximumCpus];

    // LDT pages of each CPU's window that are mapped: none of them, mostly, and then nothing has to be done.
    private readonly uint[] _mappedLocalPages = new uint[Cpu.MaximumCpus];

    /// <summary>Gives a CPU the frame of the hypervisor's part of its GDT.</summary>
    internal void SetReservedFrame(int cpu, ulong frame)
    {
        _reservedFrames[cpu] = frame;
        DescriptorWindow.Map(cpu, CpuSetup.ReservedGdtPage, frame, writable: true);
        for (int page = 0; page < LocalPages; page++)
        {
            DescriptorWindow.Unmap(cpu, CpuSetup.LocalTablePage + page);
        }
    }

    /// <inheritdoc/>
    public override void ReloadGdt(Vcpu running)
    {
        int cpu = Cpu.Number;
        ulong[] frames = running.GdtFrames;
        for (int page = 0; page < CpuSetup.ReservedGdtPage; page++)
        {
            ulong frame = page < frames.Length ? frames[page] : 0;
            if (frame != 0)
            {
                DescriptorWindow.Map(cpu, page, frame, writable: true);
            }
            else
            {
                DescriptorWindow.Clear(cpu, page);
            }
        }
    }

    /// <inheritdoc/>
    public override void ReloadLdt(Vcpu running)
    {
        int cpu = Cpu.Number;
        uint wanted = 0;
        ulong[] frames = running.LdtFrames;
        for (int page = 0; page < LocalPages; page++)
        {
            ulong frame = frames[page];
            if (frame != 0)
            {
                wanted |= 1U << page;
                DescriptorWindow.Map(cpu, CpuSetup.LocalTablePage + page, frame, writable: true);
            }
            else if ((_mappedLocalPages[cpu] >> page & 1) != 0)
            {
                DescriptorWindow.Unmap(cpu, CpuSetup.LocalTablePage + page);
            }
        }

        _mappedLocalPages[cpu] = wanted;
        CpuSetup.LoadLocalTable(_reservedFrames[cpu], cpu, running.LdtEntries);
    }
}
