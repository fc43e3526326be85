/** A file as an administrator, a tool or an accident may leave it, with what it includes. */
export type Sample = {
  readonly name: string
  readonly text: string
  /** Other files by their path from the folder of the first. */
  readonly files?: Readonly<Record<string, string>>
}

const sample = (name: string, text: string, files?: Sample['files']): Sample => ({
  name,
  text,
  ...(files ? { files } : {}),
})

const MISSION = `
# type database role address method
local all postgres peer map=superuser_map
local sameuser all peer map=superuser_map
host all all 127.0.0.1/32 scram-sha-256
host all all ::1/128 scram-sha-256
host replication replUser 127.0.0.1/32 scram-sha-256
host replication replUser ::1/128 scram-sha-256
host devUser devUser 127.0.0.1/32 scram-sha-256
host "endoregDbLocal" "endoregDbLocal" ::1/128 scram-sha-256
host all postgres 172.16.255.106/32 scram-sha-256
`

const LAYOUT: readonly Sample[] = [
  sample('the rules of a clinic', MISSION),
  sample('with the line ends of Windows', MISSION.replaceAll('\n', '\r\n')),
  sample('without a line end at the end', 'local all all trust'),
  sample('nothing but comments', '# a\n   # b\n\n\t\n'),
  sample('empty', ''),
  sample('tabs and blanks', ' \t local\tall   all\ttrust \t\n\thost\tall all\t127.0.0.1/32\r\ttrust\r\n'),
  sample(
    'comments at the end',
    'local all all trust # all\nlocal all all# none\nlocal all a#b trust\nlocal a "b#c" trust#',
  ),
  sample(
    'a line in parts',
    'local \\\n  all \\\n all trust\nhost all all \\\n  10.0.0.0/8 \\\n md5\nlocal x\n',
  ),
  sample('a word in parts', 'loc\\\nal a\\\nll all trust\n'),
  sample(
    'a comment in parts',
    '# a \\\nlocal all all trust\nlocal b all trust # c \\\n d e f\nlocal g all trust\n',
  ),
  sample('quotes in parts', 'local "a \\\nb" all trust\nlocal "c\nlocal d" all trust\n'),
  sample(
    'backslashes at the end',
    'local all all trust\\\\\n\nlocal a all trust\\\n\\\nlocal b\nlocal c all trust\\',
  ),
  sample(
    'a backslash and blanks',
    'local all \\ \nlocal all all trust \\\t\nlocal all all trust\\\r\nlocal b all reject\n',
  ),
  sample('a backslash, a line end, nothing', 'local a all trust \\\n'),
  sample(
    'carriage returns within a line',
    'local all\rall\rtrust\n"local\r" all all trust\nlocal "a\r" all trust\r\r\n',
  ),
  sample('a byte order mark', '\ufefflocal all all trust\nlocal all all trust\n'),
  sample('a NUL', 'local all all trust\nlocal a\0 all all trust\nlocal b all trust\nlocal c all trust\n\0'),
  sample('other blanks are none', 'local all\vall trust\nlocal all\u00a0all trust\nlocal\fall all trust\n'),
  sample('names beyond ASCII', 'local "größe" jürgen trust\nlocal 数据库 all trust\n'),
  sample('very long tokens', [254, 255, 256, 300].map(n => `local ${'a'.repeat(n)} all trust`).join('\n')),
  sample(
    'long tokens and what follows',
    [
      `local ${'a'.repeat(255)},b all trust`,
      `local "${'a'.repeat(255)}" all trust`,
      `local ${'é'.repeat(127)}a all trust`,
      `local ${'é'.repeat(128)} all trust`,
      `local all ${'a'.repeat(400)} all trust`,
    ].join('\n'),
  ),
]

const TOKENS: readonly Sample[] = [
  sample(
    'lists',
    'local a,b,c d,e trust\nlocal a, b ,c all trust\nlocal ,a, ,b , c trust\nlocal a,,b all trust\nlocal a, all trust\n',
  ),
  sample('a list at the end', 'local all all trust,\nlocal all a,\n'),
  sample(
    'quotes',
    'local "all" "sameuser","+a" trust\n"local" all all "trust"\nlocal a"b c"d all trust\nlocal ""all"" all trust\n',
  ),
  sample(
    'quotes within quotes',
    'local "a""b" """" trust\nlocal """a""" "b""" trust\nlocal a"""b" c trust\nlocal "a"b"c" d trust\n',
  ),
  sample(
    'nothing in quotes',
    'local "" "" trust\nhost all all "" trust\nlocal all all ""\n"" all all trust\n',
  ),
  sample(
    'quotes that do not end',
    'local "all all trust\nlocal all all "trust\nlocal all all trust "\nlocal all all trust #"\n',
  ),
  sample(
    'quotes not at the beginning',
    'local a"ll" +"grp" trust\nhost all all s"amehost" trust\nlocal all all tr"ust"\n',
  ),
  sample(
    'keywords',
    'local all,sameuser,samerole,samegroup,replication all trust\nlocal ALL Sameuser trust\n',
  ),
  sample('groups and signs', 'local all +group,"+group",+,@ trust\nlocal +a all trust\nlocal @ "@" trust\n'),
  sample(
    'expressions',
    'local /^a.*$ /^b[0-9]+$ trust\nlocal "/^a,b$" all trust\nlocal /a,/b,c /d trust\nlocal / all trust\n',
  ),
  sample(
    'broken expressions',
    'local /( all trust\nlocal all /[a trust\nlocal a,/*b all trust\nlocal all "/a{2,1}" trust\nlocal all /a\\ trust\nlocal all /\\1 trust\nlocal /(?z)a all trust\nlocal /a**,/b( all trust\n',
  ),
  sample('expressions elsewhere', 'host all all /127 trust\n/local all all trust\nlocal all all /trust\n'),
]

const LINES: readonly Sample[] = [
  sample(
    'lines that end early',
    'local\nlocal all\nlocal all all\nhost\nhost all\nhost all all\nhost all all all\nhost all all 1.2.3.4\nhost all all 1.2.3.4 255.255.255.255\n',
  ),
  sample(
    'other types',
    'Local all all trust\nhosts all all all trust\nhostssl all all all trust\nhostnossl all all all trust\nhostgssenc all all all trust\nhostnogssenc all all all trust\nlocal,host all all trust\nhostno all all all trust\n',
  ),
  sample(
    'several values where one goes',
    'host all all 1.2.3.4/32,5.6.7.8/32 trust\nhost all all 1.2.3.4 255.0.0.0,255.255.0.0 trust\nlocal all all trust,reject\nlocal all all peer map=a,map=b\n',
  ),
  sample(
    'all methods',
    [
      'trust',
      'reject',
      'md5',
      'password',
      'scram-sha-256',
      'ident',
      'peer',
      'gss',
      'sspi',
      'pam',
      'bsd',
      'ldap',
      'cert',
      'radius',
      'oauth',
      'crypt',
      'krb5',
      'Trust',
      'scram-sha-512',
      'implicit reject',
    ]
      .flatMap(method => [
        `local all all ${method}`,
        `host all all all ${method}`,
        `hostssl all all all ${method}`,
        `local all all "${method}"`,
      ])
      .join('\n'),
  ),
  sample('a local rule with an address', 'local all all 127.0.0.1/32 trust\nlocal all all all trust\n'),
  sample('a password and a comment that is none', 'local all all trust # fine\nlocal all all trust // not\n'),
  sample('good lines after bad ones', 'nonsense\nlocal all all trust\nhost all\nhost all all ::1/128 md5\n'),
]

const ADDRESSES: readonly Sample[] = [
  sample(
    'IPv4',
    ['0.0.0.0/0', '10.0.0.0/8', '10.1.2.3/8', '192.168.0.1/32', '1.2.3.4/31', '255.255.255.255/1']
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'IPv6',
    [
      '::/0',
      '::1/128',
      'fe80::/10',
      '2001:db8::1/64',
      '2001:DB8:0:0:1::/80',
      '::ffff:1.2.3.4/96',
      '1:2:3:4:5:6:7::/127',
      '::2:3:4:5:6:7:8/3',
      '::1.2.3.4/1',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'IPv4 as inet_aton(3) has it',
    [
      '127.1/32',
      '1/32',
      '0x7f.1/8',
      '0177.0.0.1/8',
      '10.0x10/16',
      '1.2.3/24',
      '4294967295/32',
      '4294967296/32',
      '256.1.1.1/32',
      '1.2.3.256/32',
      '1.2.3.4.5/32',
      '08.1.1.1/32',
      '1.2.65535/32',
      '1.2.65536/32',
      '0x/8',
      '1./8',
      '.1/8',
      '0X1F.0.0.1/8',
      '00.0.0.0/0',
      '1.16777215/8',
      '-1.2.3.4/8',
      '+1.2.3.4/8',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'masks after a slash',
    [
      '1.2.3.4/33',
      '1.2.3.4/-1',
      '1.2.3.4/',
      '1.2.3.4/x',
      '1.2.3.4/24x',
      '1.2.3.4/+8',
      '1.2.3.4/08',
      '"1.2.3.4/ 8"',
      '"1.2.3.4/8 "',
      '1.2.3.4/24/8',
      '1.2.3.4/0x8',
      '1.2.3.4/99999999999999999999',
      '::1/129',
      '::1/128',
      '::1/0',
      '::1/33',
      '1.2.3.4/255.255.255.0',
      '1.2.3.4/-0',
      '/8',
      '/',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'masks in a column',
    [
      '1.2.3.4 255.255.255.255',
      '1.2.3.4 255.255.0.255',
      '10.0.0.0 255',
      '1.2.3.4 0.0.0.0',
      '::1 ffff::',
      '::1 ::',
      '1.2.3.4 ffff::',
      '::1 255.255.255.255',
      '1.2.3.4 mask',
      '1.2.3.4 ""',
      '1.2.3.4 255.255.255.256',
      '1.2.3.4 /24',
      '"1.2.3.4" "255.0.0.0"',
      '1.2.3.4 255.255.255.0/24',
      '1.2.3.4/24 255.255.255.0',
      '1.2.3.4 0xffffff00',
      '1.2.3.4',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'host names',
    [
      'localhost',
      'LocalHost',
      'a.example.com',
      '.example.com',
      '.',
      'a/b',
      'example.com/24',
      '*',
      '10.0.0',
      '10.0.0.x',
      '1.2.3.4.',
      ':',
      ':::',
      '1::2::3',
      '::g',
      '[::1]',
      'a_b',
      'ä.example',
      '12345::',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '::01.2.3.4',
      '::1.2.3',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'zones',
    [
      'fe80::1%1/64',
      'fe80::1%lo/64',
      '::1%lo',
      '::1%1/128',
      '::1%/128',
      'ff02::1%lo/16',
      '1.2.3.4%1/8',
      'fe80::1%4294967296/10',
    ]
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
  sample(
    'words for addresses',
    ['all', 'samehost', 'samenet', '"all"', '"samehost"', 'ALL', 'samenet/8', 'all/0', 'samehost 255.0.0.0']
      .map(address => `host all all ${address} trust`)
      .join('\n'),
  ),
]

const OPTIONS: readonly Sample[] = [
  sample(
    'maps',
    [
      'local all all peer map=a',
      'local all all ident map=a',
      'host all all all ident map=a',
      'host all all all md5 map=a',
      'host all all all gss map=a',
      'hostssl all all all cert map=a',
      'local all all trust map=a',
      'local all all peer map=',
      'local all all peer map=a map=b',
      'local all all peer map=a=b',
      'local all all peer "map=a b"',
      'local all all peer map="a b"',
      'local all all peer map=a,map=b',
      'host all all all radius map=x',
      'local all all peer MAP=a',
    ].join('\n'),
  ),
  sample(
    'options that are none',
    [
      'local all all peer map',
      'local all all peer map = a',
      'local all all peer =a',
      'local all all peer unknown=1',
      'local all all trust trust',
      'local all all md5 a=b c',
      'local all all trust # map',
      'local all all reject x=y',
      'local all all peer ""',
    ].join('\n'),
  ),
  sample(
    'clientcert',
    [
      'clientcert=verify-full',
      'clientcert=verify-ca',
      'clientcert=1',
      'clientcert=0',
      'clientcert=no-verify',
      'clientcert=',
      'clientcert=Verify-CA',
    ]
      .flatMap(option =>
        [
          'hostssl all all all md5',
          'host all all all md5',
          'hostssl all all all cert',
          'local all all peer',
          'hostnossl all all all trust',
        ].map(rule => `${rule} ${option}`),
      )
      .join('\n'),
  ),
  sample(
    'clientname',
    ['clientname=CN', 'clientname=DN', 'clientname=cn', 'clientname=']
      .flatMap(option =>
        [
          'hostssl all all all md5',
          'host all all all md5',
          'hostssl all all all cert',
          'local all all peer',
        ].map(rule => `${rule} ${option}`),
      )
      .join('\n'),
  ),
  sample(
    'options of Kerberos',
    ['krb_realm=A', 'include_realm=1', 'include_realm=0', 'compat_realm=1', 'upn_username=1']
      .flatMap(option => [
        `host all all all gss ${option}`,
        `host all all all md5 ${option}`,
        `hostssl all all all sspi ${option}`,
      ])
      .join('\n'),
  ),
  sample(
    'options of PAM',
    ['pamservice=a', 'pam_use_hostname=1']
      .flatMap(option => [`host all all all pam ${option}`, `host all all all md5 ${option}`])
      .join('\n'),
  ),
  sample(
    'options of LDAP',
    [
      'ldapserver=a',
      'ldapserver=a ldapbasedn=b',
      'ldapserver=a ldapprefix=b',
      'ldapserver=a ldapsuffix=c ldapprefix=b',
      'ldapprefix=b ldapbasedn=c',
      'ldapserver=a ldapbasedn=b ldapport=x',
      'ldapbasedn=b ldapport=0',
      'ldapbasedn=b ldapport=+389',
      'ldapbasedn=b ldaptls=1',
      'ldapbasedn=b ldapscheme=ldapi',
      'ldapbasedn=b ldapscheme=ldaps',
      'ldapbasedn=b ldapsearchattribute=u ldapsearchfilter=f',
      'ldapbasedn=b ldapbinddn=d ldapbindpasswd=p',
      'ldapsuffix=b ldapbinddn=d',
      'ldapurl=ldap://host/dc=example',
      'ldapurl=ldap://host',
      'ldapurl=ldap://host/',
      'ldapurl=ldap:///',
      'ldapurl=ldap://host?uid',
      'ldapurl=LDAP://host/a',
      'ldapurl=ldap://host ldapprefix=a',
      'ldapurl=ldap://host:636/??sub',
      'ldapurl=ldap: ldapbasedn=a',
      'ldapurl=',
      'ldapurl="ldap://host/dc=x?uid?sub"',
      'ldapurl="ldap://host/dc=x?uid?sub?(a=b)"',
      'ldapurl=http://host/dc=x',
      'ldapurl=nonsense',
      'ldapurl=ldapi:///',
      'ldapurl="ldaps://host:636/dc=x" ldapprefix=a',
    ]
      .flatMap(option => [
        `host all all all ldap ${option}`,
        ...(option.includes('=u ') ? [`host all all all md5 ${option}`] : []),
      ])
      .join('\n'),
  ),
  sample(
    'options of RADIUS',
    [
      '',
      'radiusservers=127.0.0.1',
      'radiussecrets=x',
      'radiusservers=127.0.0.1 radiussecrets=x',
      'radiusservers="127.0.0.1,127.0.0.2" radiussecrets=x',
      'radiusservers="127.0.0.1, 127.0.0.2" radiussecrets="x,y"',
      'radiusservers=127.0.0.1 radiussecrets="x,y"',
      'radiusservers="127.0.0.1,127.0.0.2,127.0.0.3" radiussecrets="x,y"',
      'radiusservers="127.0.0.1,::1" radiussecrets=x radiusports="1812,1813"',
      'radiusservers=127.0.0.1 radiussecrets=x radiusports=0',
      'radiusservers=127.0.0.1 radiussecrets=x radiusports=x',
      'radiusservers=127.0.0.1 radiussecrets=x radiusports="1,2"',
      'radiusservers=127.0.0.1 radiussecrets=x radiusidentifiers=a',
      'radiusservers=127.0.0.1 radiussecrets=x radiusidentifiers="a,b"',
      'radiusservers="" radiussecrets=x',
      'radiusservers=127.0.0.1 radiussecrets=',
      'radiusservers="127.0.0.1," radiussecrets=x',
      'radiusservers="a b" radiussecrets=x',
      'radiusservers=127.0.0.1 "radiussecrets=""a, b"""',
      'radiusservers=127.0.0.1 "radiussecrets=""a"""',
      'radiusservers=127.0.0.1 "radiussecrets=a""b"',
      'radiusservers=127.0.0.1 radiussecrets=x radiusports=',
    ]
      .map(option => `host all all all radius ${option}`)
      .join('\n'),
  ),
  sample(
    'options of OAuth',
    [
      '',
      'issuer=a',
      'scope=b',
      'issuer=a scope=b',
      'issuer=a scope=b map=c',
      'issuer=a scope=b delegate_ident_mapping=1',
      'issuer=a scope=b map=c delegate_ident_mapping=1',
      'issuer=a scope=b map=c delegate_ident_mapping=0',
      'issuer=a scope=b validator=test_validator',
    ]
      .flatMap(option => [`host all all all oauth ${option}`, `host all all all md5 ${option}`])
      .join('\n'),
  ),
]

const INCLUDES: readonly Sample[] = [
  sample(
    'files of names',
    'local @names @roles trust\nlocal a,@names,b all trust\nlocal all @"two words" trust\nlocal "@names" all trust\n',
    {
      names: 'one two\n# a comment\n"three"  ,four\n\nall\n',
      roles: '+group, "all"\n/^r\n',
      'two words': 'x',
    },
  ),
  sample(
    'files of names that are not there',
    'local @none all trust\nlocal all @none/none trust\nlocal a,@none,b all trust\nlocal all all trust\n',
  ),
  sample(
    'an empty file of names',
    'local @empty all trust\nlocal a,@empty,b all trust\nlocal all @empty trust\nlocal all all trust @empty\n',
    { empty: '# nothing\n' },
  ),
  sample('files of names that name files', 'local @one all trust\nlocal @down/two all trust\n', {
    one: 'a @down/two',
    'down/two': 'b,@three',
    'down/three': 'c\n@../four\n',
    four: 'd',
  }),
  sample('a file of names with a mistake', 'local @one all trust\nlocal all all trust\n', {
    one: 'a\n@none\nb\n',
  }),
  sample(
    'files for whole fields',
    '@type all all trust\nlocal all all @method\nhost all all @address trust\nlocal all all peer @options\n',
    { type: 'local', method: 'trust', address: '127.0.0.1/32', options: 'map=a\nmap=b' },
  ),
  sample('a file of names that is a folder', 'local @folder all trust\nlocal a,@folder all trust\n', {
    'folder/x': '',
  }),
  sample('include', 'include one.conf\nlocal a all trust\ninclude down/two.conf\n"include" one.conf\n', {
    'one.conf': 'local one all trust\n\nlocal \\\n two all trust\n',
    'down/two.conf': 'include three.conf\nlocal three all reject\nhost all @names all md5\n',
    'down/three.conf': '# nothing\nlocal four all trust\n',
    'down/names': 'a,b',
  }),
  sample(
    'include with mistakes',
    'include none.conf\ninclude\ninclude a b\ninclude one.conf one.conf\ninclude bad.conf\nlocal a all trust\ninclude ""\ninclude_if_exists none.conf\ninclude_if_exists none/none\ninclude_if_exists bad.conf\n"include_if_exists" none.conf\ninclude,x one.conf\ninclude one.conf,none.conf\nInclude one.conf\n',
    {
      'one.conf': 'local one all trust\n',
      'bad.conf': 'local\nnonsense\nlocal bad all trust\ninclude none.conf\n',
    },
  ),
  sample(
    'include_dir',
    'include_dir rules\nlocal last all trust\ninclude_dir "two words"\ninclude_dir empty\n',
    {
      'rules/20.conf': 'local twenty all trust\n',
      'rules/3.conf': 'local three all trust\n',
      'rules/.hidden.conf': 'local hidden all trust\n',
      'rules/a.conf.bak': 'local backup all trust\n',
      'rules/B.conf': 'local upper all trust\n',
      'rules/a.conf': 'local lower all trust\ninclude ../one.conf\n',
      'rules/.conf': 'local nameless all trust\n',
      'rules/x.CONF': 'local loud all trust\n',
      'rules/folder.conf/x.conf': 'local deeper all trust\n',
      'rules/é.conf': 'local accent all trust\n',
      'one.conf': 'local one all trust\n',
      'two words/a.conf': 'local words all trust\n',
      'empty/readme': '',
    },
  ),
  sample(
    'include_dir with mistakes',
    'include_dir none\ninclude_dir ""\ninclude_dir " "\ninclude_dir rules/a.conf\ninclude_dir rules\ninclude_dir rules rules\n',
    {
      'rules/a.conf': 'local\n',
      'rules/b.conf': 'include none.conf\nlocal b all trust\n',
    },
  ),
  sample('include within a file of names', 'local @names all trust\nlocal @broken all trust\n', {
    names: 'a\ninclude more\nb\n',
    more: 'c d\n',
    broken: 'include none',
  }),
  sample('include of a folder', 'include folder\nlocal all all trust\n', { 'folder/x': '' }),
]

/** Files that include themselves: before 16 PostgreSQL ends only where it may open no more files. */
export const LOOPS: readonly Sample[] = [
  sample('a file of names that names itself', 'local @loop all trust\nlocal all all trust\n', {
    loop: 'a @loop',
  }),
  sample('a file that includes itself', 'local all all trust\ninclude loop.conf\n', {
    'loop.conf': 'local loop all trust\ninclude_if_exists loop.conf\nlocal after all trust\n',
  }),
  sample(
    'as deep as it may be',
    'include 1.conf\n',
    Object.fromEntries(
      Array.from({ length: 12 }, (_, n) => [
        `${n + 1}.conf`,
        `local l${n + 1} @names all trust\ninclude ${n + 2}.conf\n`,
      ]).concat([['names', 'a']]),
    ),
  ),
]

export const HBA_SAMPLES: readonly Sample[] = [
  ...LAYOUT,
  ...TOKENS,
  ...LINES,
  ...ADDRESSES,
  ...OPTIONS,
  ...INCLUDES,
]

export const IDENT_SAMPLES: readonly Sample[] = [
  sample(
    'the map of a clinic',
    'superuser_map root postgres\nsuperuser_map root replUser\nsuperuser_map admin admin\nsuperuser_map /^(.*)$ \\1\n',
  ),
  sample('an empty map', '# nothing\n\n'),
  sample('lines that end early', 'map\nmap account\nmap account role\nmap account role more\n'),
  sample(
    'lists',
    'map,other account role\nmap a,b role\nmap account r,s\nmap account r,\nmap , account role\n',
  ),
  sample(
    'quotes',
    '"my map" "an account" "a role"\nmap "/^a b$" "\\1"\nmap a "all"\nmap a "+group"\nmap a ""\n"" "" ""\n',
  ),
  sample('words and signs', 'map a all\nmap all a\nmap a +group\nmap +a b\nmap a /^b$\nmap /a /b\nmap a @\n'),
  sample('broken expressions', 'map /( a\nmap /[ /(\nmap a /(\nmap a "/*"\nmap /(?q)( a\nmap /a\\ b\n'),
  sample(
    'lines in parts and comments',
    'map \\\n account \\\n role # all\nmap account#role\nmap a b#c\nmap a "b#c"\n',
  ),
  sample('files of names', 'map @one role\nmap account @one\n@one a b\nmap @two role\nmap @none role\n', {
    one: 'single',
    two: 'a b',
  }),
  sample(
    'include',
    'include one.conf\ninclude_if_exists none.conf\ninclude none.conf\ninclude_dir maps\nmap a b\n',
    {
      'one.conf': 'one a b\none a\n',
      'maps/1.conf': 'two a b\n',
      'maps/2.conf': 'include ../one.conf\n',
    },
  ),
  sample('long tokens', [255, 256].map(n => `map ${'a'.repeat(n)} role`).join('\n')),
]
