using System.Runtime.CompilerServices;
using System.Threading;
using Blanket.Kernel.Platform.Acpi;
using Blanket.Machine;

namespace Blanket.Kernel.Platform;

/// <summary>
/// The CPUs of the machine by number: 0 is the boot CPU, the others follow in firmware's order. Those that start are numbered without gaps: below
/// <see cref="OnlineCount"/>.
/// </summary>
public static class Processors
{
    [InlineArray(Cpu.MaximumCpus)]
    private struct Ids
    {
        private uint _first;
    }

    [InlineArray(Cpu.MaximumCpus)]
    private struct Flags
    {
        private bool _first;
    }

    private static Ids s_apicIds;
    private static Flags s_online;
    private static int s_onlineCount;

    /// <summary>CPUs that firmware reports, at most <see cref="Cpu.MaximumCpus"/>.</summary>
    public static int Count { get; private set; }

    /// <summary>CPUs that run the hypervisor.</summary>
    public static int OnlineCount => Volatile.Read(ref s_onlineCount);

    /// <summary>Local APIC id of a CPU.</summary>
    public static uint ApicId(int cpu) => s_apicIds[cpu];

    /// <summary>Whether a CPU runs the hypervisor.</summary>
    public static bool IsOnline(int cpu) => Volatile.Read(ref s_online[cpu]);

    /// <summary>Numbers the CPUs; once, on the boot CPU.</summary>
    internal static void Enumerate(in Madt madt, uint bootApicId)
    {
        s_online = default;
        s_onlineCount = 0;
        s_apicIds[0] = bootApicId;
        Count = 1;
        for (int i = 0; i < madt.ProcessorCount; i++)
        {
            uint apicId = madt.Processor(i);
            if (apicId != bootApicId && Count < Cpu.MaximumCpus)
            {
                s_apicIds[Count++] = apicId;
            }
        }

        SetOnline(0);
        if (madt.ProcessorsLeftOut != 0)
        {
            Log.Line("CPUs: "u8).Decimal((ulong)madt.ProcessorsLeftOut).Text(" more than can be used"u8).End();
        }
    }

    /// <summary>Exchanges the numbers of two CPUs that are not online.</summary>
    internal static void Exchange(int cpu, int other) => (s_apicIds[cpu], s_apicIds[other]) = (s_apicIds[other], s_apicIds[cpu]);

    /// <summary>A CPU has come up; called on it. Once is enough.</summary>
    internal static void SetOnline(int cpu)
    {
        if (!IsOnline(cpu))
        {
            Interlocked.Increment(ref s_onlineCount);
            Volatile.Write(ref s_online[cpu], true);
        }
    }
}
