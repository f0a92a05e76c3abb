using System;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen;
using Blanket.Machine;

namespace Blanket.Drivers.Xen;

/// <summary>
/// Calls to the Xen underneath, whose guest L1 is (not the calls that L1 serves). Results are Xen's: negative errno values.
/// </summary>
public abstract class XenHypercalls
{
    /// <summary>Sends a call whose arguments are a command and a structure, as most have them.</summary>
    /// <param name="number">Of <see cref="HypercallNumber"/>.</param>
    /// <param name="command">First argument.</param>
    /// <param name="argument">Second argument: its address. Read and written by Xen.</param>
    /// <param name="count">Third argument.</param>
    public abstract long Call(uint number, ulong command, Span<byte> argument, ulong count);

    /// <summary>Sends a call to HYPERVISOR_vcpu_op.</summary>
    public abstract long CallVcpu(uint command, uint vcpu, Span<byte> argument);

    /// <summary>Sends a call with a structure.</summary>
    public long Call<T>(uint number, ulong command, ref T argument, ulong count = 0) where T : unmanaged =>
        Call(number, command, MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref argument, 1)), count);

    /// <summary>Sends a call to HYPERVISOR_vcpu_op with a structure.</summary>
    public long CallVcpu<T>(uint command, uint vcpu, ref T argument) where T : unmanaged =>
        CallVcpu(command, vcpu, MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref argument, 1)));

    /// <summary>HYPERVISOR_event_channel_op.</summary>
    public long EventChannel<T>(int command, ref T argument) where T : unmanaged =>
        Call(HypercallNumber.EventChannelOp, (uint)command, ref argument);

    /// <summary>Puts a frame of Xen's into L1's memory, in place of the one that was there.</summary>
    /// <param name="space">XENMAPSPACE_*.</param>
    /// <param name="index">Which frame of the space.</param>
    /// <param name="frame">Frame number of L1's where it appears.</param>
    /// <returns>0 or a negative errno.</returns>
    public long MapFrame(uint space, ulong index, ulong frame)
    {
        MemoryAddToPhysmap argument = new() { DomainId = DomainId.Self, Space = space, Index = index, Frame = frame };
        return Call(HypercallNumber.MemoryOp, MemoryCommand.AddToPhysmap, ref argument);
    }

    /// <summary>Gives frames of L1's memory back to Xen (XENMEM_decrease_reservation), or asks for memory in their places (XENMEM_populate_physmap).</summary>
    /// <param name="command">One of the two, of <see cref="MemoryCommand"/>.</param>
    /// <param name="list">Physical address of the frames' numbers, 64 bits each.</param>
    /// <param name="count">How many.</param>
    /// <returns>With how many of them it was done, from the first on.</returns>
    public int ChangeMemory(uint command, ulong list, int count)
    {
        MemoryReservation argument = new()
        {
            ExtentStart = PhysicalMemory.LinearAddress(list, (ulong)count * sizeof(ulong)),
            ExtentCount = (ulong)count,
            DomainId = DomainId.Self,
        };
        long done = Call(HypercallNumber.MemoryOp, command, ref argument);
        return done < 0 ? 0 : (int)Math.Min(done, count);
    }

    /// <summary>Reads an HVM parameter of L1's domain; false when Xen does not give it.</summary>
    public bool TryGetParameter(uint index, out ulong value)
    {
        HvmParameterArgument argument = new() { Domain = DomainId.Self, Index = index };
        bool found = Call(HypercallNumber.HvmOp, HvmOp.GetParameter, ref argument) == 0;
        value = argument.Value;
        return found;
    }
}
