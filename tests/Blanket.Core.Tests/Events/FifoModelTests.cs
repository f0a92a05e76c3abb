using System;
using System.Collections.Generic;
using System.Threading;
using Blanket.Abi.Xen;
using FsCheck.Xunit;

namespace Blanket.Core.Tests.Events;

/// <summary>With a guest that keeps to the rules of the FIFO ABI, every event arrives, and none that was not sent.</summary>
public sealed class FifoModelTests
{
    private const int Ports = 12;
    private const int Vcpus = 3;

    [Property(MaxTest = 100)]
    public void EveryEventArrives(int seed)
    {
        Random random = new(seed);
        FifoPair pair = new(Ports, Vcpus);
        HashSet<uint> pending = [];
        HashSet<uint> masked = [];
        for (int i = 0; i < 400; i++)
        {
            int index = random.Next(Ports);
            uint port = pair.Local[index];
            switch (random.Next(10))
            {
                case 0:
                    Assert.Equal(0, pair.Guest.BindVcpu(port, (uint)random.Next(Vcpus)));
                    break;
                case 1:
                    Assert.Equal(0, pair.Guest.SetPriority(port, (uint)random.Next(16)));
                    break;
                case 2:
                    pair.Fifo.Set(port, EventChannelFifo.Masked);
                    masked.Add(port);
                    break;
                case 3:
                    Assert.Equal(0, pair.Guest.Unmask(port));
                    masked.Remove(port);
                    break;
                case 4 or 5:
                    foreach (uint taken in pair.Fifo.TakeEvents((uint)random.Next(Vcpus)))
                    {
                        Assert.True(pending.Remove(taken), "an event that was not sent");
                        Assert.DoesNotContain(taken, masked);
                    }

                    break;
                default:
                    Assert.Equal(0, pair.Sender.Send(pair.Remote[index]));
                    pending.Add(port);
                    break;
            }
        }

        foreach (uint port in pair.Local)
        {
            Assert.Equal(0, pair.Guest.Unmask(port));
        }

        for (uint vcpu = 0; vcpu < Vcpus; vcpu++)
        {
            foreach (uint taken in pair.Fifo.TakeEvents(vcpu))
            {
                Assert.True(pending.Remove(taken), "an event that was not sent");
            }
        }

        Assert.Empty(pending);
    }

    [Fact]
    public void ConcurrentSendersLoseNoEvent()
    {
        FifoPair pair = new(Ports, 1);
        int[] sent = new int[Ports];
        int[] received = new int[Ports];
        Thread[] senders = new Thread[2];
        for (int t = 0; t < senders.Length; t++)
        {
            int first = t;
            senders[t] = new Thread(() =>
            {
                for (int i = 0; i < 10_000; i++)
                {
                    int index = (i * 5 + first) % Ports;
                    Assert.Equal(0, pair.Sender.Events.Send(pair.Remote[index]));
                    Interlocked.Increment(ref sent[index]);
                }
            });
            senders[t].Start();
        }

        bool running = true;
        while (running)
        {
            running = Array.Exists(senders, s => s.IsAlive);
            foreach (uint port in pair.Fifo.TakeEvents(0))
            {
                received[Array.IndexOf(pair.Local, port)]++;
            }
        }

        for (int i = 0; i < Ports; i++)
        {
            Assert.InRange(received[i], 1, sent[i]);
            Assert.False(pair.Fifo.IsSet(pair.Local[i], EventChannelFifo.Pending));
        }
    }

    /// <summary>A guest with the FIFO ABI, connected to another one through several ports.</summary>
    private sealed class FifoPair
    {
        public FifoPair(int ports, int vcpus)
        {
            EventMachine machine = new(1024);
            Guest = new EventGuest(machine, 1, vcpus);
            Sender = new EventGuest(machine, 2);
            Fifo = new FifoGuest(Guest);
            for (int vcpu = 0; vcpu < vcpus; vcpu++)
            {
                Fifo.Initialize((uint)vcpu, Guest.Guest.Frames[vcpu]);
            }

            Fifo.Expand(Guest.Guest.Frames[vcpus]);
            Local = new uint[ports];
            Remote = new uint[ports];
            for (int i = 0; i < ports; i++)
            {
                Local[i] = Guest.AllocateUnbound(2);
                Assert.Equal(0, Sender.BindInterdomain(1, Local[i], out Remote[i]));
                Assert.Equal(0, Guest.Unmask(Local[i]));
            }
        }

        public EventGuest Guest { get; }

        public EventGuest Sender { get; }

        public FifoGuest Fifo { get; }

        public uint[] Local { get; }

        public uint[] Remote { get; }
    }
}
