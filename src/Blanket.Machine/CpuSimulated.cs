#if !METAL
using System;
using System.Collections.Generic;
using System.Threading;

namespace Blanket.Machine;

/// <summary>The CPU as host tests see it: memory ordering is real, privileged state is not there.</summary>
public static unsafe partial class Cpu
{
    private static ulong s_simulatedTsc;

    public static byte PortRead8(ushort port) => SimulatedPorts.Current.Read8(port);

    public static ushort PortRead16(ushort port) => SimulatedPorts.Current.Read16(port);

    public static uint PortRead32(ushort port) => SimulatedPorts.Current.Read32(port);

    public static void PortWrite8(ushort port, byte value) => SimulatedPorts.Current.Write8(port, value);

    public static void PortWrite16(ushort port, ushort value) => SimulatedPorts.Current.Write16(port, value);

    public static void PortWrite32(ushort port, uint value) => SimulatedPorts.Current.Write32(port, value);

    public static ulong ReadMsr(uint index) => GuardedMsr.TryRead(index, out ulong value) ? value : 0;

    public static void WriteMsr(uint index, ulong value) => GuardedMsr.Simulated[index] = value;

    public static ulong ReadTsc() => Interlocked.Increment(ref s_simulatedTsc);

    public static ulong ReadCr2() => 0;

    public static ulong ReadCr3() => 0;

    public static void WriteCr3(ulong value)
    {
    }

    public static ulong ReadCr4() => 0;

    public static void WriteCr4(ulong value)
    {
    }

    public static ulong ReadCr0() => 0;

    public static void WriteCr0(ulong value)
    {
    }

    public static void InvalidatePage(ulong address)
    {
    }

    public static void EnableInterrupts()
    {
    }

    public static void DisableInterrupts()
    {
    }

    public static ulong SaveAndDisableInterrupts() => 0;

    public static void RestoreInterrupts(ulong flags)
    {
    }

    public static void Pause() => Thread.SpinWait(1);

    public static void WaitForInterrupt() => Thread.Yield();

    public static void Stop() => throw new InvalidOperationException("the simulated CPU was stopped");

    public static void HaltByNmi()
    {
    }

    public static void Fence() => Thread.MemoryBarrier();

    /// <summary>The CPU that this thread stands for; host tests set it.</summary>
    [ThreadStatic]
    public static int Number;

    public static void Cpuid(uint leaf, uint subleaf, out uint eax, out uint ebx, out uint ecx, out uint edx) =>
        (eax, ebx, ecx, edx) = SimulatedCpuid.Leaves is not null && SimulatedCpuid.Leaves.TryGetValue(leaf, out var values) ? values : default;
}

/// <summary>What CPUID says in host tests: nothing but what a test puts there for its thread.</summary>
public static class SimulatedCpuid
{
    /// <summary>The leaves that are not zero: eax, ebx, ecx, edx.</summary>
    [ThreadStatic]
    public static Dictionary<uint, (uint Eax, uint Ebx, uint Ecx, uint Edx)>? Leaves;
}

/// <summary>What port I/O reaches in host tests; a test replaces <see cref="Current"/> with its fake device.</summary>
public class SimulatedPorts
{
    /// <summary>The fake that port instructions of this thread reach.</summary>
    [ThreadStatic]
    private static SimulatedPorts? t_current;

    public static SimulatedPorts Current
    {
        get => t_current ??= new SimulatedPorts();
        set => t_current = value;
    }

    public virtual byte Read8(ushort port) => 0xff;

    public virtual ushort Read16(ushort port) => 0xffff;

    public virtual uint Read32(ushort port) => 0xffffffff;

    public virtual void Write8(ushort port, byte value)
    {
    }

    public virtual void Write16(ushort port, ushort value)
    {
    }

    public virtual void Write32(ushort port, uint value)
    {
    }
}
#endif
