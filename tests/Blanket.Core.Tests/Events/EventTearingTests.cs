using System;
using System.Threading;
using Blanket.Abi.Xen;
using Blanket.Core.Events;
using Blanket.Core.Tests.Memory;
using Blanket.Machine;

namespace Blanket.Core.Tests.Events;

/// <summary>Several CPUs at once: guests that change their shared pages, ports and ABI while others send to them.</summary>
public sealed class EventTearingTests
{
    private const int Rounds = 20_000;

    [Fact]
    public void ConcurrentSendersLoseNoEvent()
    {
        EventMachine machine = new();
        EventGuest guest = new(machine, 1, vcpus: 1);
        EventGuest sender = new(machine, 2);
        uint[] ports = new uint[64];
        uint[] remotes = new uint[64];
        for (int i = 0; i < ports.Length; i++)
        {
            ports[i] = guest.AllocateUnbound(2);
            Assert.Equal(0, sender.BindInterdomain(1, ports[i], out remotes[i]));
        }

        _ = guest.TakeEvents(0);
        int[] sent = new int[ports.Length];
        int[] received = new int[4096];
        Thread[] senders = new Thread[2];
        for (int t = 0; t < senders.Length; t++)
        {
            int first = t;
            senders[t] = new Thread(() =>
            {
                for (int i = 0; i < Rounds; i++)
                {
                    int index = (i * 2 + first) % ports.Length;
                    Assert.Equal(0, sender.Events.Send(remotes[index]));
                    Interlocked.Increment(ref sent[index]);
                }
            });
            senders[t].Start();
        }

        bool running = true;
        while (running)
        {
            running = Array.Exists(senders, s => s.IsAlive);
            foreach (uint port in TakeAtomically(guest))
            {
                received[port]++;
            }
        }

        for (int i = 0; i < ports.Length; i++)
        {
            Assert.InRange(received[ports[i]], 1, sent[i]);
            Assert.False(guest.IsPendingBit(ports[i]));
        }
    }

    [Fact]
    public void BindingAndClosingWhileOthersSendIsSafe()
    {
        EventMachine machine = new();
        EventGuest one = new(machine, 1);
        EventGuest two = new(machine, 2);
        bool stop = false;
        Exception? failure = null;
        Thread sender = new(() => Guard(ref failure, () =>
        {
            uint port = 0;
            while (!Volatile.Read(ref stop))
            {
                port = (port + 1) % 40;
                one.Events.Send(port);
                two.Events.Send(port);
                EventChannels.RaiseVirq(two.Domain.Vcpus[0]!, Virq.Timer);
            }
        }));
        Thread scribbler = new(() => Guard(ref failure, () =>
        {
            Random random = new(5);
            while (!Volatile.Read(ref stop))
            {
                PhysicalMemory.Write(two.SharedInfoAddress + (ulong)random.Next(512) * 8, (ulong)random.NextInt64());
            }
        }));
        sender.Start();
        scribbler.Start();
        Random random = new(6);
        for (int i = 0; i < Rounds / 4; i++)
        {
            uint port = one.AllocateUnbound(2);
            Assert.Equal(0, two.BindInterdomain(1, port, out uint remote));
            two.BindVirq(Virq.Timer, 0, out uint timer);
            if (random.Next(2) == 0)
            {
                Assert.Equal(0, one.Close(port));
                Assert.Equal(0, two.Close(remote));
            }
            else
            {
                Assert.Equal(0, two.Close(remote));
                Assert.Equal(0, one.Close(port));
            }

            Assert.Equal(0, two.Close(timer));
        }

        Volatile.Write(ref stop, true);
        sender.Join();
        scribbler.Join();
        Assert.Null(failure);
        Assert.Equal(0, one.Events.ActivePorts);
        Assert.Equal(0, two.Events.ActivePorts);
        one.Destroy(machine.Machine);
        two.Destroy(machine.Machine);
    }

    [Fact]
    public void ChangingTheAbiWhileOthersSendNeverWritesToReturnedPages()
    {
        EventMachine machine = new();
        EventGuest guest = new(machine, 1, vcpus: 2, frames: 4);
        EventGuest sender = new(machine, 2);
        bool stop = false;
        Exception? failure = null;
        Thread sending = new(() => Guard(ref failure, () =>
        {
            uint port = 0;
            while (!Volatile.Read(ref stop))
            {
                port = (port + 1) % 8;
                sender.Events.Send(port);
                EventChannels.RaiseVirq(guest.Domain.Vcpus[1]!, Virq.Timer);
            }
        }));
        Thread scribbling = new(() => Guard(ref failure, () =>
        {
            Random random = new(8);
            while (!Volatile.Read(ref stop))
            {
                PhysicalMemory.Write((guest.Guest.Frames[2] << Cpu.PageShift) + (ulong)random.Next(1024) * 4, (uint)random.NextInt64());
            }
        }));
        sending.Start();
        scribbling.Start();
        for (int i = 0; i < Rounds / 10; i++)
        {
            uint port = guest.AllocateUnbound(2);
            Assert.Equal(0, sender.BindInterdomain(1, port, out uint remote));
            guest.BindVirq(Virq.Timer, 1, out _);
            PhysicalMemory.ZeroFrame(guest.Guest.Frames[0]);
            Assert.Equal(0, guest.InitializeControl(guest.Guest.Frames[0], 0, 0, out _));
            Assert.Equal(0, guest.InitializeControl(guest.Guest.Frames[1], 0, 1, out _));
            Assert.Equal(0, guest.ExpandArray(guest.Guest.Frames[2]));
            Assert.Equal(0, guest.Unmask(port));
            Assert.Equal(0, guest.Reset());
            Assert.Equal(0, sender.Close(remote));

            // No page of the ABI is in use any more: nobody may write to these now.
            Assert.Equal(1UL, TestGuest.References(guest.Guest.Frames[0]));
            PhysicalMemory.Frame(guest.Guest.Frames[0]).Fill(0xa5);
            PhysicalMemory.Frame(guest.Guest.Frames[1]).Fill(0xa5);
            Thread.SpinWait(20);
            Assert.False(PhysicalMemory.Frame(guest.Guest.Frames[0]).ContainsAnyExcept((byte)0xa5));
            Assert.False(PhysicalMemory.Frame(guest.Guest.Frames[1]).ContainsAnyExcept((byte)0xa5));
        }

        Volatile.Write(ref stop, true);
        sending.Join();
        scribbling.Join();
        Assert.Null(failure);
        guest.Destroy(machine.Machine);
        sender.Destroy(machine.Machine);
    }

    private static System.Collections.Generic.List<uint> TakeAtomically(EventGuest guest)
    {
        System.Collections.Generic.List<uint> events = [];
        ulong info = guest.Domain.Vcpus[0]!.Info.Address;
        Interlocked.And(ref PhysicalMemory.At<ulong>(info), ~0xffUL);
        ulong selector = Interlocked.Exchange(ref PhysicalMemory.At<ulong>(info + VcpuInfo.PendingSelectorOffset), 0UL);
        for (uint word = 0; word < 64; word++)
        {
            if ((selector >> (int)word & 1) == 0)
            {
                continue;
            }

            ulong pending = Interlocked.Exchange(
                ref PhysicalMemory.At<ulong>(guest.SharedInfoAddress + SharedInfo.EventPendingOffset + word * 8), 0UL);
            for (int bit = 0; bit < 64; bit++)
            {
                if ((pending >> bit & 1) != 0)
                {
                    events.Add(word * 64 + (uint)bit);
                }
            }
        }

        return events;
    }

    private static void Guard(ref Exception? failure, Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            Volatile.Write(ref failure, exception);
        }
    }
}
