using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Blanket.Lab.Configuration;

/// <summary>Kinds of token in xl.cfg(5) syntax.</summary>
internal enum XlTokenKind
{
    Identifier,
    Number,
    String,
    Assign,
    Append,
    Comma,
    Open,
    Close,
    EndOfStatement,
    EndOfLine,
    EndOfFile,
}

/// <summary>A token; <paramref name="Text"/> is the name, the number as written or the string's content.</summary>
internal readonly record struct XlToken(XlTokenKind Kind, string Text, SourceLine Source)
{
    /// <summary>What a message calls this token.</summary>
    internal string Description => Kind switch
    {
        XlTokenKind.Identifier => $"'{Text}'",
        XlTokenKind.Number => $"the number {Text}",
        XlTokenKind.String => $"the string '{Text}'",
        XlTokenKind.EndOfLine => "the end of the line",
        XlTokenKind.EndOfFile => "the end of the file",
        _ => $"'{Text}'",
    };
}

/// <summary>Splits a configuration file into tokens.</summary>
internal sealed class XlLexer
{
    private readonly string _file;
    private readonly string _text;
    private readonly List<XlToken> _tokens = [];
    private int _position;
    private int _line = 1;

    private XlLexer(string file, string text)
    {
        _file = file;
        _text = text;
    }

    private SourceLine Here => new(_file, _line);

    /// <summary>All tokens of <paramref name="text"/>, the last one <see cref="XlTokenKind.EndOfFile"/>.</summary>
    /// <exception cref="InputException">A character or string that the syntax does not know.</exception>
    internal static IReadOnlyList<XlToken> Tokenize(string file, string text)
    {
        XlLexer lexer = new(file, text);
        while (lexer._position < text.Length)
        {
            lexer.Next();
        }

        lexer.Add(XlTokenKind.EndOfFile, string.Empty);
        return lexer._tokens;
    }

    private void Add(XlTokenKind kind, string text) => _tokens.Add(new XlToken(kind, text, Here));

    private void Next()
    {
        char current = _text[_position];
        switch (current)
        {
            case ' ' or '\t' or '\r':
                _position++;
                break;
            case '\n':
                Add(XlTokenKind.EndOfLine, "\n");
                _position++;
                _line++;
                break;
            case '#':
                SkipComment();
                break;
            case '\'' or '"':
                ReadString(current);
                break;
            case >= 'a' and <= 'z':
                ReadWhile(XlTokenKind.Identifier, static c => c is >= 'a' and <= 'z' or >= '0' and <= '9' or '_' or '.');
                break;
            case >= '0' and <= '9':
                ReadWhile(XlTokenKind.Number, static c => c is >= '0' and <= '9' or >= 'a' and <= 'f' or >= 'A' and <= 'F' or 'x');
                break;
            default:
                ReadPunctuation(current);
                break;
        }
    }

    private void SkipComment()
    {
        while (_position < _text.Length && _text[_position] != '\n')
        {
            _position++;
        }
    }

    private void ReadWhile(XlTokenKind kind, Func<char, bool> belongs)
    {
        int start = _position;
        while (_position < _text.Length && belongs(_text[_position]))
        {
            _position++;
        }

        Add(kind, _text[start.._position]);
    }

    private void ReadPunctuation(char current)
    {
        if (current == '+' && _position + 1 < _text.Length && _text[_position + 1] == '=')
        {
            Add(XlTokenKind.Append, "+=");
            _position += 2;
            return;
        }

        XlTokenKind kind = current switch
        {
            '=' => XlTokenKind.Assign,
            ',' => XlTokenKind.Comma,
            '[' => XlTokenKind.Open,
            ']' => XlTokenKind.Close,
            ';' => XlTokenKind.EndOfStatement,
            _ => throw new InputException(Here, $"unexpected character '{current}', expected KEY = VALUE, where a VALUE is a number, a \"string\" or a [list]"),
        };
        Add(kind, current.ToString());
        _position++;
    }

    private void ReadString(char quote)
    {
        StringBuilder content = new();
        for (_position++; ; _position++)
        {
            if (_position >= _text.Length || _text[_position] == '\n')
            {
                throw new InputException(Here, $"this string does not end, expected {quote} before the end of the line");
            }

            char current = _text[_position];
            if (current == quote)
            {
                break;
            }

            content.Append(current == '\\' ? ReadEscape() : current);
        }

        _position++;
        Add(XlTokenKind.String, content.ToString());
    }

    /// <summary>Reads an escape; leaves the position on its last character.</summary>
    private char ReadEscape()
    {
        _position++;
        char escape = _position < _text.Length ? _text[_position] : '\n';
        return escape switch
        {
            '\\' or '\'' or '"' => escape,
            'a' => '\a',
            'b' => '\b',
            'f' => '\f',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\v',
            'x' => ReadHexadecimalEscape(),
            >= '0' and <= '7' => ReadOctalEscape(),
            _ => throw new InputException(Here, $"unknown escape \\{(escape == '\n' ? string.Empty : escape)} in a string, expected one of \\\\ \\' \\\" \\n \\t \\xHH \\OOO"),
        };
    }

    private char ReadHexadecimalEscape()
    {
        int first = _position + 1;
        if (first + 2 > _text.Length || !byte.TryParse(_text.AsSpan(first, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value))
        {
            throw new InputException(Here, "bad escape \\x in a string, expected two hexadecimal digits");
        }

        _position += 2;
        return (char)value;
    }

    private char ReadOctalEscape()
    {
        int value = 0;
        int last = _position;
        for (int i = 0; i < 3 && _position + i < _text.Length && _text[_position + i] is >= '0' and <= '7'; i++)
        {
            value = (value * 8) + (_text[_position + i] - '0');
            last = _position + i;
        }

        _position = last;
        return value <= byte.MaxValue ? (char)value : throw new InputException(Here, "octal escape out of range, expected at most \\377");
    }
}
