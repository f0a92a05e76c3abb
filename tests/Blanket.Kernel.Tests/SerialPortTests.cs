using System.Collections.Generic;
using System.Text;
using Blanket.Kernel.Platform;
using Blanket.Machine;

namespace Blanket.Kernel.Tests;

public class SerialPortTests
{
    private sealed class FakeUart : SimulatedRegisters
    {
        private readonly byte[] _registers = new byte[8];

        internal List<byte> Sent { get; } = [];

        internal bool IsPresent { get; init; } = true;

        internal bool IsStuck { get; set; }

        internal int StatusReads { get; private set; }

        /// <summary>Reads of the status that it is busy for from now on.</summary>
        internal int BusyReads { get; set; }

        public override ulong Read(ulong offset, int size)
        {
            StatusReads += offset == 5 ? 1 : 0;
            bool isBusy = offset == 5 && (IsStuck || BusyReads-- > 0);
            return !IsPresent ? 0xff : offset == 5 ? (isBusy ? 0u : 0x60u) : _registers[offset];
        }

        public override void Write(ulong offset, int size, ulong value)
        {
            if (offset == 0 && (_registers[3] & 0x80) == 0)
            {
                Sent.Add((byte)value);
                return;
            }

            _registers[offset] = (byte)value;
        }
    }

    [Fact]
    public void BytesAreSentInOrderAndTheStatusIsReadOnceAFifo()
    {
        FakeUart uart = new();
        SerialPort? port = SerialPort.Create(new DeviceRegisters(uart, 8));
        Assert.NotNull(port);
        int before = uart.StatusReads;
        port.Write("blanket: sixteen bytes at a time"u8);
        Assert.Equal("blanket: sixteen bytes at a time", Encoding.ASCII.GetString([.. uart.Sent]));
        Assert.Equal(2, uart.StatusReads - before);
    }

    [Fact]
    public void WithoutAUartThereIsNoPort() => Assert.Null(SerialPort.Create(new DeviceRegisters(new FakeUart { IsPresent = false }, 8)));

    /// <summary>Whoever reads the other end need not run all the time.</summary>
    [Fact]
    public void ALineIsNotLostWhileTheOtherEndSleeps()
    {
        FakeUart uart = new();
        SerialPort port = SerialPort.Create(new DeviceRegisters(uart, 8))!;
        for (int i = 0; i < 20; i++)
        {
            uart.BusyReads = 400_000;
            port.Write("0123456789abcdef"u8);
        }

        Assert.Equal(20 * 16, uart.Sent.Count);
    }

    [Fact]
    public void AStuckUartIsGivenUp()
    {
        FakeUart uart = new();
        SerialPort port = SerialPort.Create(new DeviceRegisters(uart, 8))!;
        uart.IsStuck = true;
        for (int i = 0; i < 20; i++)
        {
            port.Write("x"u8);
        }

        int reads = uart.StatusReads;
        port.Write("x"u8);
        Assert.Equal(reads, uart.StatusReads);
        Assert.Empty(uart.Sent);
    }
}

public class DebugPortTests
{
    private sealed class FakePorts(byte readBack) : SimulatedPorts
    {
        internal List<byte> Sent { get; } = [];

        public override byte Read8(ushort port) => port == 0xe9 ? readBack : (byte)0xff;

        public override void Write8(ushort port, byte value)
        {
            Assert.Equal(0xe9, port);
            Sent.Add(value);
        }
    }

    [Fact]
    public void BytesGoToThePortWhereItAnswers()
    {
        FakePorts ports = new(0xe9);
        SimulatedPorts.Current = ports;
        DebugPort.Create()!.Write("log"u8);
        Assert.Equal("log", Encoding.ASCII.GetString([.. ports.Sent]));
        SimulatedPorts.Current = new FakePorts(0xff);
        Assert.Null(DebugPort.Create());
        SimulatedPorts.Current = new SimulatedPorts();
    }
}
