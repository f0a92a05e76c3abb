using System;
using System.IO;
using System.Text;

namespace Blanket.Cli.Tests;

/// <summary>The smallest kernel that a machine can boot by PVH: it prints a text on COM1 and powers off or halts.</summary>
internal static class TinyKernel
{
    private const uint LoadAddress = 0x100000;
    private const int HeaderSize = 64 + (2 * 56);
    private const uint PvhEntryNote = 18;

    internal static byte[] Image(string text, bool powerOff)
    {
        byte[] note = [4, 0, 0, 0, 4, 0, 0, 0, .. BitConverter.GetBytes(PvhEntryNote), .. "Xen\0"u8, .. BitConverter.GetBytes(LoadAddress + HeaderSize)];
        byte[] code = Code(powerOff);
        uint textAddress = LoadAddress + HeaderSize + (uint)code.Length;
        BitConverter.GetBytes(textAddress).CopyTo(code, 1);
        byte[] content = [.. code, .. Encoding.ASCII.GetBytes(text), 0];
        ulong size = (ulong)(HeaderSize + content.Length);
        MemoryStream image = new();
        image.Write([0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        image.Write([2, 0, 62, 0, 1, 0, 0, 0, .. BitConverter.GetBytes((ulong)LoadAddress + HeaderSize), .. BitConverter.GetBytes(64ul), .. BitConverter.GetBytes(0ul)]);
        image.Write([0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        image.Write(Segment(1, 0, LoadAddress, size));
        image.Write(Segment(4, size, LoadAddress + size, (ulong)note.Length));
        image.Write(content);
        image.Write(note);
        return image.ToArray();
    }

    private static byte[] Code(bool powerOff) =>
    [
        0xBE, 0, 0, 0, 0, // mov esi, text
        0xAC, // next: lodsb
        0x84, 0xC0, // test al, al
        0x74, 0x08, // jz done
        0x66, 0xBA, 0xF8, 0x03, // mov dx, 0x3f8
        0xEE, // out dx, al
        0xEB, 0xF4, // jmp next
        0x90, // nop
        .. powerOff // done:
            ? (byte[])[0x66, 0xBA, 0x04, 0x06, 0x66, 0xB8, 0x00, 0x20, 0x66, 0xEF] // mov dx, 0x604; mov ax, 0x2000 (S5 of q35's ACPI); out dx, ax
            : [],
        0xF4, // stop: hlt
        0xEB, 0xFD, // jmp stop
    ];

    private static byte[] Segment(uint type, ulong offset, ulong address, ulong size) =>
    [
        .. BitConverter.GetBytes(type), .. BitConverter.GetBytes(7u), .. BitConverter.GetBytes(offset), .. BitConverter.GetBytes(address),
        .. BitConverter.GetBytes(address), .. BitConverter.GetBytes(size), .. BitConverter.GetBytes(size), .. BitConverter.GetBytes(4ul),
    ];
}
